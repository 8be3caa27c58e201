-- Amounts are integers in the unit of their metric: tokens and requests as they are, dollars in 1e-9, credits in 1e-6.
-- Instants are microseconds since 1970 UTC: datetime(time / 1000000, 'unixepoch') shows one. Decimals and JSON are text.
-- Every table is STRICT: in any other, a sum beyond 64 bits would silently become a float.

-- The versions of this schema. oldest is the oldest version that code may be made for to work on it.
CREATE TABLE purser_schema (
    version  INTEGER NOT NULL PRIMARY KEY,
    oldest   INTEGER NOT NULL,
    checksum TEXT    NOT NULL DEFAULT ''
) STRICT;

-- What all definitions have in common: one row.
CREATE TABLE purser_catalog (
    id             INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    version        INTEGER NOT NULL,
    reporting_zone TEXT    NOT NULL,
    prune_floor    INTEGER NOT NULL
) STRICT;

-- The sets of dimensions that scopes name.
CREATE TABLE purser_shapes (
    shape TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE purser_budgets (
    id                TEXT    NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL,
    description       TEXT,
    metric            TEXT    NOT NULL,
    budget_limit      TEXT    NOT NULL,
    cost_per_credit   TEXT    NOT NULL,
    schedule          TEXT    NOT NULL,
    scope_shape       TEXT    NOT NULL,
    scope_fixed       TEXT    NOT NULL,
    scope             TEXT    NOT NULL,
    exceptions        TEXT    NOT NULL,
    starts_at         INTEGER NOT NULL,
    ends_at           INTEGER NOT NULL,
    allowed_resources TEXT    NOT NULL,
    enforcement       TEXT    NOT NULL,
    min_hold          TEXT    NOT NULL,
    thresholds        TEXT    NOT NULL,
    disabled          INTEGER NOT NULL,
    owner             TEXT    NOT NULL,
    created_by        TEXT    NOT NULL,
    labels            TEXT    NOT NULL,
    metadata          TEXT,
    version           INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    rates             TEXT    NOT NULL,
    counted_from      INTEGER NOT NULL
) STRICT;
CREATE INDEX purser_budgets_scope ON purser_budgets (scope_shape, scope_fixed, id);
CREATE INDEX purser_budgets_newest ON purser_budgets (created_at, id);
CREATE INDEX purser_budgets_owner ON purser_budgets (owner, created_at, id);

-- One row per selector of a budget's scope and per label, to find budgets by.
CREATE TABLE purser_budget_terms (
    term   TEXT NOT NULL,
    budget TEXT NOT NULL,
    PRIMARY KEY (term, budget)
) STRICT, WITHOUT ROWID;
CREATE INDEX purser_budget_terms_budget ON purser_budget_terms (budget, term);

CREATE TABLE purser_counters (
    budget       TEXT    NOT NULL,
    scope_value  TEXT    NOT NULL,
    period_start INTEGER NOT NULL,
    recorded     INTEGER NOT NULL,
    adjusted     INTEGER NOT NULL,
    reserved     INTEGER NOT NULL,
    pruned       INTEGER NOT NULL,
    denied       INTEGER NOT NULL,
    would_deny   INTEGER NOT NULL,
    episode      INTEGER NOT NULL,
    leased       INTEGER NOT NULL,
    wanted       INTEGER NOT NULL,
    expired      INTEGER NOT NULL,
    expired_held INTEGER NOT NULL,
    PRIMARY KEY (budget, period_start, scope_value)
) STRICT, WITHOUT ROWID;

CREATE TABLE purser_events (
    tenant                TEXT    NOT NULL,
    id                    TEXT    NOT NULL,
    time                  INTEGER NOT NULL,
    user_id               TEXT    NOT NULL,
    api_key               TEXT    NOT NULL,
    resource              TEXT    NOT NULL,
    labels                TEXT    NOT NULL,
    input_tokens          INTEGER NOT NULL,
    output_tokens         INTEGER NOT NULL,
    cache_creation_tokens INTEGER NOT NULL,
    cache_read_tokens     INTEGER NOT NULL,
    total_tokens          INTEGER NOT NULL,
    requests              INTEGER NOT NULL,
    runs                  INTEGER NOT NULL,
    nanodollars           INTEGER NOT NULL,
    hash                  BLOB    NOT NULL,
    flags                 INTEGER NOT NULL,
    corrects              TEXT    NOT NULL,
    cost_before           INTEGER NOT NULL,
    reason                TEXT    NOT NULL,
    priced_by             TEXT    NOT NULL,
    recorded_at           INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX purser_events_time ON purser_events (time);
CREATE INDEX purser_events_corrects ON purser_events (tenant, corrects) WHERE corrects <> '';

-- Sums of usage per quarter hour of UTC (grain 1), and per day (2) and month (3) of the reporting zone.
CREATE TABLE purser_usage (
    grain                 INTEGER NOT NULL,
    bucket                INTEGER NOT NULL,
    tenant                TEXT    NOT NULL,
    user_id               TEXT    NOT NULL,
    api_key               TEXT    NOT NULL,
    resource              TEXT    NOT NULL,
    input_tokens          INTEGER NOT NULL,
    output_tokens         INTEGER NOT NULL,
    cache_creation_tokens INTEGER NOT NULL,
    cache_read_tokens     INTEGER NOT NULL,
    total_tokens          INTEGER NOT NULL,
    requests              INTEGER NOT NULL,
    runs                  INTEGER NOT NULL,
    nanodollars           INTEGER NOT NULL,
    PRIMARY KEY (grain, bucket, tenant, user_id, api_key, resource)
) STRICT, WITHOUT ROWID;
-- Of days only, which are what a month is mostly summed up from: a row per quarter hour is too frequent for so many indexes.
CREATE INDEX purser_usage_tenant ON purser_usage (tenant, bucket) WHERE grain = 2;
CREATE INDEX purser_usage_user ON purser_usage (user_id, bucket) WHERE grain = 2;
CREATE INDEX purser_usage_api_key ON purser_usage (api_key, bucket) WHERE grain = 2;
-- Of months, of which there are few: so that one tenant's are found among those of all.
CREATE INDEX purser_usage_months ON purser_usage (tenant, bucket) WHERE grain = 3;

-- What was admitted and not settled yet: state 0 is open, 1 was given back, 2 expired. One that was settled is gone, the
-- event with its key remembers it. holds are what it holds of counters, an array of [budget, scope value, period start,
-- units]: SELECT value ->> 0, sum(value ->> 3) FROM purser_reservations, json_each(holds) WHERE state = 0 GROUP BY 1 sums
-- them up. What an expired one holds was given back.
CREATE TABLE purser_reservations (
    tenant                TEXT    NOT NULL,
    id                    TEXT    NOT NULL,
    time                  INTEGER NOT NULL,
    user_id               TEXT    NOT NULL,
    api_key               TEXT    NOT NULL,
    resource              TEXT    NOT NULL,
    labels                TEXT    NOT NULL,
    input_tokens          INTEGER NOT NULL,
    output_tokens         INTEGER NOT NULL,
    cache_creation_tokens INTEGER NOT NULL,
    cache_read_tokens     INTEGER NOT NULL,
    total_tokens          INTEGER NOT NULL,
    requests              INTEGER NOT NULL,
    runs                  INTEGER NOT NULL,
    nanodollars           INTEGER NOT NULL,
    hash                  BLOB    NOT NULL,
    state                 INTEGER NOT NULL,
    lease                 INTEGER NOT NULL,
    expires_at            INTEGER NOT NULL,
    holds                 TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX purser_reservations_expires ON purser_reservations (state, expires_at);

CREATE TABLE purser_adjustments (
    budget      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    scope_value TEXT    NOT NULL,
    metric      TEXT    NOT NULL,
    units       INTEGER NOT NULL,
    time        INTEGER NOT NULL,
    time_given  INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (budget, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX purser_adjustments_time ON purser_adjustments (budget, time, id);

-- The directory. licenses is an array of what each has as given; what they count stands in budgets labeled "license".
CREATE TABLE purser_tenants (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    slug       TEXT    NOT NULL,
    licenses   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- routed says that the alert's deliveries were made, if it has any.
CREATE TABLE purser_alerts (
    id           TEXT    NOT NULL,
    budget       TEXT    NOT NULL,
    budget_name  TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    tenant       TEXT    NOT NULL,
    labels       TEXT    NOT NULL,
    scope_value  TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    period_start INTEGER NOT NULL,
    period_end   INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    threshold    TEXT    NOT NULL,
    level        INTEGER NOT NULL,
    left_level   INTEGER NOT NULL,
    episode      INTEGER NOT NULL,
    metric       TEXT    NOT NULL,
    used         INTEGER NOT NULL,
    budget_limit INTEGER NOT NULL,
    time         INTEGER NOT NULL,
    expected_at  INTEGER NOT NULL,
    late         INTEGER NOT NULL,
    superseded   INTEGER NOT NULL,
    message      TEXT    NOT NULL,
    routed       INTEGER NOT NULL,
    PRIMARY KEY (budget, scope_value, period_start, kind, threshold, episode)
) STRICT, WITHOUT ROWID;
CREATE INDEX purser_alerts_id ON purser_alerts (id);
CREATE INDEX purser_alerts_newest ON purser_alerts (time, id);
CREATE INDEX purser_alerts_budget ON purser_alerts (budget, time, id);
CREATE INDEX purser_alerts_tenant ON purser_alerts (tenant, time, id);
CREATE INDEX purser_alerts_owner ON purser_alerts (owner, time, id);
CREATE INDEX purser_alerts_unrouted ON purser_alerts (time, id) WHERE NOT routed;

-- The ways of alerts to sinks: state 0 is waiting for due_at, 1 claimed until due_at, 2 delivered and 3 dead since due_at.
-- budget, scope_value and time are the alert's: what follows each other to one sink is looked for by them.
CREATE TABLE purser_deliveries (
    alert       TEXT    NOT NULL,
    sink        TEXT    NOT NULL,
    budget      TEXT    NOT NULL,
    scope_value TEXT    NOT NULL,
    time        INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    PRIMARY KEY (alert, sink)
) STRICT, WITHOUT ROWID;
CREATE INDEX purser_deliveries_line ON purser_deliveries (sink, budget, scope_value, time, alert) WHERE state < 2;
CREATE INDEX purser_deliveries_state ON purser_deliveries (state, due_at);

-- The requests that idempotency keys stand for.
CREATE TABLE purser_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    hash       BLOB    NOT NULL,
    claimed_at INTEGER NOT NULL,
    times      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX purser_keys_claimed ON purser_keys (claimed_at, id);

CREATE TABLE purser_audit (
    id      TEXT    NOT NULL PRIMARY KEY,
    time    INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    tenant  TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    target  TEXT    NOT NULL,
    before  TEXT,
    after   TEXT,
    details TEXT
) STRICT;
CREATE INDEX purser_audit_newest ON purser_audit (time, id);
CREATE INDEX purser_audit_tenant ON purser_audit (tenant, time, id);
CREATE INDEX purser_audit_target ON purser_audit (target, time, id);

INSERT INTO purser_catalog (id, version, reporting_zone, prune_floor) VALUES (1, 1, 'UTC', -62135596800000000);
INSERT INTO purser_schema (version, oldest) VALUES (1, 1);
