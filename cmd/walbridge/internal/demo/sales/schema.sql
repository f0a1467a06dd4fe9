-- The database of a sales team, as the demo drives it. Created in one
-- transaction, with search_path set to public.

create type lead_status as enum ('new', 'contacted', 'qualified', 'converted', 'lost');
create type deal_stage as enum ('prospecting', 'qualification', 'proposal', 'negotiation', 'won', 'lost');
create type activity_kind as enum ('call', 'email', 'meeting', 'task');

create table reps (
    id         integer generated always as identity primary key,
    name       text not null,
    email      text not null unique,
    region     text not null,
    manager_id integer references reps,
    hired_on   date not null,
    active     boolean not null default true,
    updated_at timestamptz not null default now()
);
create index on reps (manager_id);

create table quotas (
    rep_id     integer not null references reps on delete cascade,
    quarter    date not null,
    amount     numeric(14,2) not null check (amount >= 0),
    updated_at timestamptz not null default now(),
    primary key (rep_id, quarter)
);

create table accounts (
    id             bigint generated always as identity primary key,
    uid            uuid not null unique,
    name           text not null,
    industry       text not null,
    employees      integer,
    annual_revenue numeric(16,2),
    website        text,
    owner_id       integer not null references reps,
    tags           text[] not null default '{}',
    custom         jsonb,
    active         boolean not null default true,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);
create index on accounts (owner_id);

create table contacts (
    id         bigint generated always as identity primary key,
    account_id bigint not null references accounts on delete cascade,
    first_name text not null,
    last_name  text not null,
    email      text not null,
    phone      text,
    title      text,
    opted_out  boolean not null default false,
    updated_at timestamptz not null default now()
);
create index on contacts (account_id);

create table leads (
    id                   bigint generated always as identity primary key,
    first_name           text not null,
    last_name            text not null,
    company              text not null,
    email                text not null,
    source               text not null,
    status               lead_status not null default 'new',
    score                smallint not null check (score between 0 and 100),
    owner_id             integer references reps,
    tags                 text[] not null default '{}',
    first_touch_at       timestamptz,
    converted_account_id bigint references accounts on delete set null,
    converted_contact_id bigint references contacts on delete set null,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now()
);
create index on leads (id) where status in ('new', 'contacted', 'qualified');
create index on leads (owner_id);
create index on leads (converted_account_id);
create index on leads (converted_contact_id);

create table opportunities (
    id               bigint generated always as identity primary key,
    account_id       bigint not null references accounts,
    owner_id         integer not null references reps,
    name             text not null,
    stage            deal_stage not null default 'prospecting',
    amount           numeric(14,2) not null check (amount >= 0),
    probability      smallint not null check (probability between 0 and 100),
    close_date       date not null,
    next_step        text,
    custom           jsonb,
    notes            text,
    last_activity_at timestamptz,
    closed_at        timestamptz,
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);
-- Out of line and not compressed, so that an update which does not touch the
-- notes sends a change without them.
alter table opportunities alter column notes set storage external;
create index on opportunities (account_id);
create index on opportunities (owner_id) where stage not in ('won', 'lost');
create index on opportunities (id) where stage not in ('won', 'lost');

create table opportunity_splits (
    id             bigint generated always as identity primary key,
    opportunity_id bigint not null references opportunities on delete cascade,
    rep_id         integer not null references reps,
    percent        numeric(5,2) not null check (percent > 0 and percent <= 100),
    updated_at     timestamptz not null default now(),
    unique (opportunity_id, rep_id)
);
create index on opportunity_splits (rep_id);

create table activities (
    id             bigint generated always as identity primary key,
    opportunity_id bigint references opportunities on delete cascade,
    lead_id        bigint references leads on delete cascade,
    rep_id         integer not null references reps,
    kind           activity_kind not null,
    subject        text not null,
    minutes        integer not null default 0,
    done           boolean not null default true,
    happened_at    timestamptz not null default now()
);
create index on activities (opportunity_id);
create index on activities (lead_id);
create index on activities (rep_id, happened_at);
