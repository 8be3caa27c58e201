-- Amounts are integers in the unit of their metric: tokens and requests as they are, dollars in 1e-9, credits in 1e-6.
-- Instants are microseconds since 1970 UTC: to_timestamp(time / 1e6) shows one. Decimals and JSON are text, which comes
-- back byte for byte. Texts that rows are ordered by are compared by their bytes, whatever the database's collation is.

-- The versions of this schema. oldest is the oldest version that code may be made for to work on it.
CREATE TABLE purser_schema (
    version  bigint NOT NULL PRIMARY KEY,
    oldest   bigint NOT NULL,
    checksum text   NOT NULL DEFAULT ''
);

-- What all definitions have in common: one row.
CREATE TABLE purser_catalog (
    id             smallint NOT NULL PRIMARY KEY CHECK (id = 1),
    version        bigint   NOT NULL,
    reporting_zone text     NOT NULL,
    prune_floor    bigint   NOT NULL
);

-- The sets of dimensions that scopes name.
CREATE TABLE purser_shapes (
    shape text COLLATE "C" NOT NULL PRIMARY KEY
);

CREATE TABLE purser_budgets (
    id                text COLLATE "C" NOT NULL PRIMARY KEY,
    name              text             NOT NULL,
    description       text,
    metric            text             NOT NULL,
    budget_limit      text             NOT NULL,
    cost_per_credit   text             NOT NULL,
    schedule          text             NOT NULL,
    scope_shape       text COLLATE "C" NOT NULL,
    scope_fixed       text COLLATE "C" NOT NULL,
    scope             text             NOT NULL,
    exceptions        text             NOT NULL,
    starts_at         bigint           NOT NULL,
    ends_at           bigint           NOT NULL,
    allowed_resources text             NOT NULL,
    enforcement       text             NOT NULL,
    min_hold          text             NOT NULL,
    thresholds        text             NOT NULL,
    disabled          boolean          NOT NULL,
    owner             text COLLATE "C" NOT NULL,
    created_by        text             NOT NULL,
    labels            text             NOT NULL,
    metadata          text,
    version           bigint           NOT NULL,
    created_at        bigint           NOT NULL,
    updated_at        bigint           NOT NULL,
    rates             text             NOT NULL,
    counted_from      bigint           NOT NULL
);
CREATE INDEX purser_budgets_scope ON purser_budgets (scope_shape, scope_fixed, id);
CREATE INDEX purser_budgets_newest ON purser_budgets (created_at, id);
CREATE INDEX purser_budgets_owner ON purser_budgets (owner, created_at, id);

-- One row per selector of a budget's scope and per label, to find budgets by.
CREATE TABLE purser_budget_terms (
    term   text COLLATE "C" NOT NULL,
    budget text COLLATE "C" NOT NULL,
    PRIMARY KEY (term, budget)
);
CREATE INDEX purser_budget_terms_budget ON purser_budget_terms (budget, term);

CREATE TABLE purser_counters (
    budget       text COLLATE "C" NOT NULL,
    scope_value  text COLLATE "C" NOT NULL,
    period_start bigint           NOT NULL,
    recorded     bigint           NOT NULL,
    adjusted     bigint           NOT NULL,
    reserved     bigint           NOT NULL,
    pruned       bigint           NOT NULL,
    denied       bigint           NOT NULL,
    would_deny   bigint           NOT NULL,
    episode      bigint           NOT NULL,
    leased       bigint           NOT NULL,
    wanted       bigint           NOT NULL,
    expired      bigint           NOT NULL,
    expired_held bigint           NOT NULL,
    PRIMARY KEY (budget, period_start, scope_value)
) WITH (fillfactor = 50);

-- In the tables with many rows the columns of fixed length come first, which saves what would be left free between them.
CREATE TABLE purser_events (
    time                  bigint           NOT NULL,
    input_tokens          bigint           NOT NULL,
    output_tokens         bigint           NOT NULL,
    cache_creation_tokens bigint           NOT NULL,
    cache_read_tokens     bigint           NOT NULL,
    total_tokens          bigint           NOT NULL,
    requests              bigint           NOT NULL,
    runs                  bigint           NOT NULL,
    nanodollars           bigint           NOT NULL,
    cost_before           bigint           NOT NULL,
    recorded_at           bigint           NOT NULL,
    flags                 smallint         NOT NULL,
    tenant                text COLLATE "C" NOT NULL,
    id                    text COLLATE "C" NOT NULL,
    user_id               text COLLATE "C" NOT NULL,
    api_key               text COLLATE "C" NOT NULL,
    resource              text COLLATE "C" NOT NULL,
    labels                text             NOT NULL,
    hash                  bytea            NOT NULL,
    corrects              text COLLATE "C" NOT NULL,
    reason                text             NOT NULL,
    priced_by             text             NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX purser_events_time ON purser_events (time);
CREATE INDEX purser_events_corrects ON purser_events (tenant, corrects) WHERE corrects <> '';

-- Sums of usage per quarter hour of UTC (grain 1), and per day (2) and month (3) of the reporting zone.
CREATE TABLE purser_usage (
    bucket                bigint           NOT NULL,
    input_tokens          bigint           NOT NULL,
    output_tokens         bigint           NOT NULL,
    cache_creation_tokens bigint           NOT NULL,
    cache_read_tokens     bigint           NOT NULL,
    total_tokens          bigint           NOT NULL,
    requests              bigint           NOT NULL,
    runs                  bigint           NOT NULL,
    nanodollars           bigint           NOT NULL,
    grain                 smallint         NOT NULL,
    tenant                text COLLATE "C" NOT NULL,
    user_id               text COLLATE "C" NOT NULL,
    api_key               text COLLATE "C" NOT NULL,
    resource              text COLLATE "C" NOT NULL,
    PRIMARY KEY (grain, bucket, tenant, user_id, api_key, resource)
) WITH (fillfactor = 70);
-- Of days only, which are what a month is mostly summed up from: a row per quarter hour is too frequent for so many indexes.
CREATE INDEX purser_usage_tenant ON purser_usage (tenant, bucket) WHERE grain = 2;
CREATE INDEX purser_usage_user ON purser_usage (user_id, bucket) WHERE grain = 2;
CREATE INDEX purser_usage_api_key ON purser_usage (api_key, bucket) WHERE grain = 2;
-- Of months, of which there are few: so that one tenant's are found among those of all.
CREATE INDEX purser_usage_months ON purser_usage (tenant, bucket) WHERE grain = 3;

-- What was admitted and not settled yet: state 0 is open, 1 was given back, 2 expired. One that was settled is gone, the
-- event with its key remembers it. holds are what it holds of counters, an array of [budget, scope value, period start,
-- units]: SELECT hold ->> 0, sum((hold ->> 3)::bigint) FROM purser_reservations, json_array_elements(holds::json) AS hold
-- WHERE state = 0 GROUP BY 1 sums them up. What an expired one holds was given back.
-- The file is not made smaller when rows go: the planner takes a table of no pages for one that is best read as a whole.
CREATE TABLE purser_reservations (
    time                  bigint           NOT NULL,
    expires_at            bigint           NOT NULL,
    input_tokens          bigint           NOT NULL,
    output_tokens         bigint           NOT NULL,
    cache_creation_tokens bigint           NOT NULL,
    cache_read_tokens     bigint           NOT NULL,
    total_tokens          bigint           NOT NULL,
    requests              bigint           NOT NULL,
    runs                  bigint           NOT NULL,
    nanodollars           bigint           NOT NULL,
    state                 smallint         NOT NULL,
    lease                 boolean          NOT NULL,
    tenant                text COLLATE "C" NOT NULL,
    id                    text COLLATE "C" NOT NULL,
    user_id               text             NOT NULL,
    api_key               text             NOT NULL,
    resource              text             NOT NULL,
    labels                text             NOT NULL,
    hash                  bytea            NOT NULL,
    holds                 text             NOT NULL,
    PRIMARY KEY (tenant, id)
) WITH (vacuum_truncate = off);
CREATE INDEX purser_reservations_expires ON purser_reservations (state, expires_at);

CREATE TABLE purser_adjustments (
    budget      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    scope_value text             NOT NULL,
    metric      text             NOT NULL,
    units       bigint           NOT NULL,
    time        bigint           NOT NULL,
    time_given  boolean          NOT NULL,
    reason      text             NOT NULL,
    actor       text             NOT NULL,
    recorded_at bigint           NOT NULL,
    PRIMARY KEY (budget, id)
);
CREATE INDEX purser_adjustments_time ON purser_adjustments (budget, time, id);

-- The directory. licenses is an array of what each has as given; what they count stands in budgets labeled "license".
CREATE TABLE purser_tenants (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    name       text             NOT NULL,
    slug       text             NOT NULL,
    licenses   text             NOT NULL,
    created_at bigint           NOT NULL,
    updated_at bigint           NOT NULL
);

-- routed says that the alert's deliveries were made, if it has any.
CREATE TABLE purser_alerts (
    id           text COLLATE "C" NOT NULL,
    budget       text COLLATE "C" NOT NULL,
    budget_name  text             NOT NULL,
    owner        text COLLATE "C" NOT NULL,
    tenant       text COLLATE "C" NOT NULL,
    labels       text             NOT NULL,
    scope_value  text COLLATE "C" NOT NULL,
    scope        text             NOT NULL,
    period_start bigint           NOT NULL,
    period_end   bigint           NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    threshold    text COLLATE "C" NOT NULL,
    level        smallint         NOT NULL,
    left_level   smallint         NOT NULL,
    episode      bigint           NOT NULL,
    metric       text             NOT NULL,
    used         bigint           NOT NULL,
    budget_limit bigint           NOT NULL,
    time         bigint           NOT NULL,
    expected_at  bigint           NOT NULL,
    late         boolean          NOT NULL,
    superseded   boolean          NOT NULL,
    message      text             NOT NULL,
    routed       boolean          NOT NULL,
    PRIMARY KEY (budget, scope_value, period_start, kind, threshold, episode)
);
CREATE INDEX purser_alerts_id ON purser_alerts (id);
CREATE INDEX purser_alerts_newest ON purser_alerts (time, id);
CREATE INDEX purser_alerts_budget ON purser_alerts (budget, time, id);
CREATE INDEX purser_alerts_tenant ON purser_alerts (tenant, time, id);
CREATE INDEX purser_alerts_owner ON purser_alerts (owner, time, id);
CREATE INDEX purser_alerts_unrouted ON purser_alerts (time, id) WHERE NOT routed;

-- The ways of alerts to sinks: state 0 is waiting for due_at, 1 claimed until due_at, 2 delivered and 3 dead since due_at.
-- budget, scope_value and time are the alert's: what follows each other to one sink is looked for by them.
CREATE TABLE purser_deliveries (
    alert       text COLLATE "C" NOT NULL,
    sink        text COLLATE "C" NOT NULL,
    budget      text COLLATE "C" NOT NULL,
    scope_value text COLLATE "C" NOT NULL,
    time        bigint           NOT NULL,
    state       smallint         NOT NULL,
    tries       bigint           NOT NULL,
    due_at      bigint           NOT NULL,
    error       text             NOT NULL,
    PRIMARY KEY (alert, sink)
);
CREATE INDEX purser_deliveries_line ON purser_deliveries (sink, budget, scope_value, time, alert) WHERE state < 2;
CREATE INDEX purser_deliveries_state ON purser_deliveries (state, due_at);

-- The requests that idempotency keys stand for.
CREATE TABLE purser_keys (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    hash       bytea            NOT NULL,
    claimed_at bigint           NOT NULL,
    times      bigint           NOT NULL
);
CREATE INDEX purser_keys_claimed ON purser_keys (claimed_at, id);

CREATE TABLE purser_audit (
    id      text COLLATE "C" NOT NULL PRIMARY KEY,
    time    bigint           NOT NULL,
    actor   text             NOT NULL,
    tenant  text COLLATE "C" NOT NULL,
    action  text             NOT NULL,
    kind    text             NOT NULL,
    target  text COLLATE "C" NOT NULL,
    before  text,
    after   text,
    details text
);
CREATE INDEX purser_audit_newest ON purser_audit (time, id);
CREATE INDEX purser_audit_tenant ON purser_audit (tenant, time, id);
CREATE INDEX purser_audit_target ON purser_audit (target, time, id);

INSERT INTO purser_catalog (id, version, reporting_zone, prune_floor) VALUES (1, 1, 'UTC', -62135596800000000);
INSERT INTO purser_schema (version, oldest) VALUES (1, 1);
