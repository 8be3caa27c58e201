package budget

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/purser-go/purser/usage"
)

// errNotOpen says that a request is not admitted without the store either.
var errNotOpen = errors.New("not admitted without the store")

// An outage is a time during which the store is away. It ends when a reservation reaches the store again.
type outage struct {
	mu       sync.Mutex
	admitted usage.Totals // since it began
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.admitted = usage.Totals{}
}

// admitUnheld admits a request without asking the store, which failed, as far as FailOpen goes.
func (l *Ledger) admitUnheld(r *request, failure error) (*Reservation, error) {
	refused := func(why error) (*Reservation, error) {
		return nil, fmt.Errorf("%w; %w: %w", failure, errNotOpen, why)
	}
	f, complete := l.cache.lookup([]usage.Subject{r.subject})
	if !complete {
		return refused(errors.New("the budgets that cover the request are not known"))
	}
	bids, err := r.bids(f.budgets[0])
	if err != nil {
		return refused(err)
	}
	for i := range bids {
		// With a counter at zero, what is refused is refused for another reason than what was used.
		if reason := bids[i].judge(Tally{}, r.subject.Resource, l.options.AdmitUnknown); reason != Fits && bids[i].budget.Enforcement == Hard {
			judged := admit(r, bids, nil, l.options.AdmitUnknown)
			return refused(judged.decision(r.time).Err())
		}
	}
	if err := l.outage.admit(r, *l.options.FailOpen); err != nil {
		return refused(err)
	}
	judged := judgement{bids: bids}
	row := judged.reservation(r, r.time)
	row.Holds, row.Expires = nil, time.Time{}
	return &Reservation{ledger: l, unheld: true, row: &row}, nil
}

// admit admits a request if no amount of the limit is passed by the sum of those admitted. An amount that is not given is
// no limit, but one at least must be.
func (o *outage) admit(r *request, limit usage.Amounts) error {
	if limit.Cost == nil && limit.TotalTokens == nil && limit.Requests == nil {
		return errors.New("FailOpen names none of Cost, TotalTokens and Requests")
	}
	most, err := limit.Totals()
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	sum, err := o.admitted.Add(r.totals)
	if err != nil {
		return err
	}
	limited := func(m usage.Metric, given, unknown bool) error {
		switch {
		case !given:
			return nil
		case unknown:
			return fmt.Errorf("the estimate does not say how many %s", m)
		case m.Of(sum) > m.Of(most):
			return fmt.Errorf("of %s %s that may be admitted without it, %s would be", m.Decimal(m.Of(most)), m, m.Decimal(m.Of(sum)))
		default:
			return nil
		}
	}
	err = errors.Join(
		limited(usage.Dollars, limit.Cost != nil, r.unknown&unknownCost != 0),
		limited(usage.Tokens, limit.TotalTokens != nil, r.unknown&unknownTokens != 0),
		limited(usage.Requests, limit.Requests != nil, false),
	)
	if err == nil {
		o.admitted = sum
	}
	return err
}
