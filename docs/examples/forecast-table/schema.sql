-- Open deals, and what each salesperson commits to: a forecast table is made of both.
CREATE TABLE reps (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, region text NOT NULL, active boolean NOT NULL DEFAULT true);
CREATE TABLE opportunities (
  id bigint PRIMARY KEY, rep_id int NOT NULL REFERENCES reps, name text NOT NULL, stage text NOT NULL, amount numeric(18,2) NOT NULL, currency char(3) NOT NULL,
  probability int NOT NULL, close_date date NOT NULL, forecast_category text);
CREATE TABLE commitments (
  rep_id int NOT NULL REFERENCES reps, quarter_start date NOT NULL, commit_amount numeric(18,2) NOT NULL, best_case numeric(18,2), note text, PRIMARY KEY (rep_id, quarter_start));
