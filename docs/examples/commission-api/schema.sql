-- Won deals and who shares in them: what commission is paid on.
CREATE TABLE payees (id text PRIMARY KEY, name text NOT NULL, email text NOT NULL, plan text NOT NULL, start_date date NOT NULL, end_date date);
CREATE TABLE deals (
  id bigint PRIMARY KEY, name text NOT NULL, stage text NOT NULL, amount numeric(18,2) NOT NULL, currency char(3) NOT NULL, product_line text NOT NULL,
  signed_at timestamptz, paid_at timestamptz);
CREATE TABLE splits (
  deal_id bigint NOT NULL REFERENCES deals, payee_id text NOT NULL REFERENCES payees, role text NOT NULL, percent numeric(5,2) NOT NULL CHECK (percent > 0 AND percent <= 100),
  PRIMARY KEY (deal_id, payee_id));
