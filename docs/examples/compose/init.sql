-- A table to try: docker compose exec postgres psql -U postgres sales
CREATE TABLE deals (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, stage text NOT NULL DEFAULT 'new',
  amount numeric(14,2), notes text, updated_at timestamptz NOT NULL DEFAULT now());
