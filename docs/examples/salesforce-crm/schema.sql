-- The tables of a sales team that works in a CRM of its own kind of objects:
-- accounts, contacts, leads and opportunities.
CREATE TYPE lead_status AS ENUM ('new', 'working', 'qualified', 'unqualified');
CREATE TYPE deal_stage AS ENUM ('draft', 'open', 'negotiation', 'won', 'lost');

CREATE TABLE accounts (
  id bigint PRIMARY KEY, parent_id bigint REFERENCES accounts, name text NOT NULL, website text, phone text, country char(2),
  industry text, employees int, annual_revenue numeric(18,2), tags text[] NOT NULL DEFAULT '{}', custom jsonb NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE contacts (
  id bigint PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts, full_name text NOT NULL, email text, phone text, country char(2),
  job_title text, opted_out boolean NOT NULL DEFAULT false, left_company boolean NOT NULL DEFAULT false);

CREATE TABLE leads (
  id uuid PRIMARY KEY, full_name text NOT NULL, company text, email text, phone text, country char(2), source text NOT NULL,
  status lead_status NOT NULL DEFAULT 'new', score int NOT NULL DEFAULT 0, message text, created_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE opportunities (
  id bigint PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts, name text NOT NULL, stage deal_stage NOT NULL DEFAULT 'draft',
  amount numeric(18,2), currency char(3) NOT NULL DEFAULT 'EUR', probability int NOT NULL DEFAULT 0, close_date date NOT NULL, closed_at timestamptz,
  owner_email text, next_step text, notes text);
