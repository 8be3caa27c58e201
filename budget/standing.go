package budget

import (
	"context"
	"sync"
	"time"

	"github.com/purser-go/purser/period"
)

// standing reads how a budget stands together with the budget, where the store can and the budget's schedule can be
// guessed. It reports false where it can't, or where the guess was wrong.
func (l *Ledger) standing(ctx context.Context, what, id string, value Value, t time.Time) (status Status, found bool, err error) {
	schedule, known := l.schedules.of(id)
	if !known || value.validate() != nil {
		return Status{}, false, nil
	}
	guess := (&Definition{Budget: Budget{ID: id, Schedule: schedule}}).counterKey(value, t)
	err = l.view(ctx, what, func(r ReadTx) error {
		s, can := r.(Soloist)
		if !can {
			return nil
		}
		s.Alone()
		d, tally, err := s.Standing(ctx, id, guess)
		if err != nil {
			return err
		}
		l.schedules.saw(&d)
		if err := d.validateValue(value); err != nil {
			return err
		}
		if found = d.counterKey(value, t) == guess && guess.Start >= d.CountedFrom.UnixMicro(); found {
			status = Evaluate(d.Budget, value, tally, t)
		}
		return nil
	})
	return status, found, err
}

// schedules remembers which schedule budgets had when somebody last asked how they stand. It may have changed since.
type schedules struct {
	mu       sync.Mutex
	byBudget map[string]period.Schedule
}

func (s *schedules) of(id string) (schedule period.Schedule, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	schedule, known = s.byBudget[id]
	return schedule, known
}

func (s *schedules) saw(d *Definition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byBudget == nil || len(s.byBudget) >= maxCached {
		s.byBudget = make(map[string]period.Schedule)
	}
	s.byBudget[d.ID] = d.Schedule
}
