package budget

import (
	"errors"
	"maps"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// A Request asks for room in every budget that covers its subject.
type Request struct {
	// ID is the idempotency key, unique per tenant among reservations and events: the event that settles the reservation
	// has it too. Sending the same request again while it holds room answers the same reservation. Empty: the ledger
	// makes one.
	ID string
	usage.Subject
	// Estimate is what the work may use at the most: what is held. Tokens without a cost leave the cost unknown, and no
	// amount at all leaves everything unknown but that it is one request; any other zero is a zero. What is unknown is
	// held as the budget's MinHold. A ledger with Prices knows the cost of tokens that have a price.
	Estimate usage.Amounts
	// TTL is how long the reservation holds its room unless it is extended: at most 7 days. Zero means the ledger's
	// ReservationTTL.
	TTL time.Duration
}

// maxTTL is the longest time for which room is held.
const maxTTL = 7 * 24 * time.Hour

// Validate refuses an ID or a subject that no event can have, an estimate that no event can have, and a TTL below 0 or
// above 7 days. All findings are [*FieldError].
func (r Request) Validate() error {
	return errors.Join(
		invalid.OptionalName("id", r.ID),
		r.Subject.Validate(),
		r.Estimate.Validate(),
		validateTTL("ttl", r.TTL),
	)
}

func validateTTL(field string, d time.Duration) error {
	if d < 0 || d > maxTTL {
		return invalid.Field(field, "is %s, must be from 0 to %s", d, maxTTL)
	}
	return nil
}

// A request is a [Request] as admission needs it.
type request struct {
	subject usage.Subject
	id      string
	named   bool         // by the caller, so that there may be a reservation with this id
	time    time.Time    // names the periods
	totals  usage.Totals // what is known of the estimate
	costed  bool         // the cost was given
	unknown unknown
	hash    usage.Hash // zero: see seal
	noted   bool       // what it lacked is to be leased
	ttl     time.Duration
}

// unknown says which amounts of an estimate nobody knows.
type unknown uint8

const (
	unknownTokens unknown = 1 << iota
	unknownCost
)

// newRequest returns a request that was validated, at an instant.
func (c *core) newRequest(r Request, at time.Time) (*request, error) {
	totals, err := r.Estimate.Totals()
	if err != nil {
		return nil, err
	}
	req := &request{
		subject: cloneSubject(r.Subject),
		id:      r.ID,
		time:    micros(at),
		totals:  totals,
		costed:  r.Estimate.Cost != nil,
		unknown: unknownOf(r.Estimate, totals),
		ttl:     r.TTL,
	}
	return req, c.priceEstimate(req, r.Estimate)
}

// seal returns the hash of what the caller asked for. It is computed once, and only for those that are compared: it takes as
// long as an admission from memory. It is that of the request as an event.
func (r *request) seal() usage.Hash {
	if r.hash == (usage.Hash{}) {
		amounts := amountsOf(r.totals)
		switch {
		case !r.costed:
			amounts.Cost = nil // a computed cost is no part of it: prices may change before it is sent again
		case amounts.Cost == nil:
			amounts.Cost = new(decimal.Zero)
		}
		r.hash = usage.Event{ID: r.id, Subject: r.subject, Amounts: amounts}.Hash()
	}
	return r.hash
}

func (r *request) key() ReservationKey { return ReservationKey{Tenant: r.subject.Tenant, ID: r.id} }

// cloneSubject returns a copy: a caller who gave up may change the labels while a leader still reads them.
func cloneSubject(s usage.Subject) usage.Subject {
	s.Labels = maps.Clone(s.Labels)
	maps.DeleteFunc(s.Labels, func(_, value string) bool { return value == "" })
	return s
}

func unknownOf(a usage.Amounts, t usage.Totals) unknown {
	tokens := t.InputTokens != 0 || t.OutputTokens != 0 || t.CacheCreationTokens != 0 || t.CacheReadTokens != 0 ||
		a.TotalTokens != nil
	switch {
	case a.Cost != nil:
		return 0
	case tokens:
		return unknownCost
	case a.Requests == nil && a.Runs == 0:
		return unknownTokens | unknownCost
	default:
		return 0
	}
}

// of reports whether what a metric counts is unknown.
func (u unknown) of(m usage.Metric) bool {
	switch m {
	case usage.Tokens, usage.InputTokens, usage.OutputTokens:
		return u&unknownTokens != 0
	case usage.Dollars, usage.Credits:
		return u&unknownCost != 0
	default:
		return false
	}
}

// event returns the request as an event that used so much at its time.
func (r *request) event() *StoredEvent {
	return &StoredEvent{ID: r.id, Subject: r.subject, Time: r.time, Totals: r.totals}
}

// The most that one event can count.
const (
	maxEventCount       = 1e12
	maxEventNanodollars = 1e6 * 1e9
)

// assume raises what is unknown to what d holds for it, so that settling at the estimate charges what was held.
func (d *Definition) assume(units int64, at time.Time, t *usage.Totals) {
	switch d.Metric {
	case usage.Tokens:
		t.TotalTokens = max(t.TotalTokens, min(units, maxEventCount))
	case usage.InputTokens:
		t.InputTokens = max(t.InputTokens, min(units, maxEventCount))
		t.TotalTokens = max(t.TotalTokens, min(t.InputTokens+t.OutputTokens, maxEventCount))
	case usage.OutputTokens:
		t.OutputTokens = max(t.OutputTokens, min(units, maxEventCount))
		t.TotalTokens = max(t.TotalTokens, min(t.InputTokens+t.OutputTokens, maxEventCount))
	case usage.Dollars:
		t.Nanodollars = max(t.Nanodollars, min(units, maxEventNanodollars))
	case usage.Credits:
		if rate, ok := d.rateAt(at); ok {
			cost := usage.Credits.Decimal(units).Mul(rate.CostPerCredit)
			nanodollars, err := usage.Dollars.Units(cost.RoundCeil(usage.Dollars.Scale()))
			if err != nil {
				nanodollars = maxEventNanodollars
			}
			t.Nanodollars = max(t.Nanodollars, min(nanodollars, maxEventNanodollars))
		}
	}
}
