-- The tables of a sales team, as the public CRM Sales Opportunities data set
-- has them, and a procedure that replays its deals as they happened.
CREATE TABLE accounts (
  account text PRIMARY KEY, sector text, year_established int, revenue numeric(12,2), employees int,
  office_location text, subsidiary_of text);
CREATE TABLE products (product text PRIMARY KEY, series text, sales_price numeric(12,2));
CREATE TABLE sales_teams (sales_agent text PRIMARY KEY, manager text, regional_office text);
CREATE TABLE opportunities (
  opportunity_id text PRIMARY KEY, sales_agent text NOT NULL, product text, account text,
  deal_stage text NOT NULL, engage_date date, close_date date, close_value numeric(12,2));

-- What is to happen: the data set's own file, row by row.
CREATE UNLOGGED TABLE pipeline (LIKE opportunities);

-- replay does what the sales team did, in the order of the dates, each step in a
-- transaction of its own: a deal that nobody engaged yet is prospecting from the
-- start, others are engaged on their engage_date, and won or lost on their
-- close_date.
CREATE PROCEDURE replay() LANGUAGE plpgsql AS $$
DECLARE step record;
BEGIN
  FOR step IN
    SELECT p.*, 0 AS kind, date '-infinity' AS day FROM pipeline p WHERE engage_date IS NULL
    UNION ALL SELECT p.*, 1, engage_date FROM pipeline p WHERE engage_date IS NOT NULL
    UNION ALL SELECT p.*, 2, close_date FROM pipeline p WHERE close_date IS NOT NULL
    ORDER BY day, kind, opportunity_id
  LOOP
    IF step.kind = 2 THEN
      UPDATE opportunities SET deal_stage = step.deal_stage, close_date = step.close_date, close_value = step.close_value
      WHERE opportunity_id = step.opportunity_id;
    ELSE
      INSERT INTO opportunities VALUES (step.opportunity_id, step.sales_agent, step.product, step.account,
        CASE step.kind WHEN 0 THEN step.deal_stage ELSE 'Engaging' END, step.engage_date, NULL, NULL);
    END IF;
    COMMIT;
  END LOOP;
END $$;
