package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/purser-go/purser/budget"
)

// refused says why a request was not admitted. Of a budget that the caller may not read it says no name and no figure but
// what was asked for. Other errors it leaves as they are.
//
// 402 says that trying again is no use: model SDKs do that by themselves at 409 and 429. Where the period ends soon it is of
// use; but not where something else is in the way, which is why that goes first.
func (c *call) refused(err error) error {
	var exceeded *budget.ExceededError
	switch {
	case errors.Is(err, budget.ErrResourceNotAllowed):
		return &Problem{Status: http.StatusForbidden, Detail: "A budget allows other resources only."}
	case errors.Is(err, budget.ErrEstimateRequired):
		const message = "does not say what a budget counts that has no min_hold"
		return &Problem{
			Type: typeInvalid, Title: titleInvalid, Status: http.StatusUnprocessableEntity,
			Detail: "estimate: " + message, Errors: []FieldProblem{{"estimate", message}},
		}
	case errors.As(err, &exceeded):
		return c.exceeded(exceeded)
	default:
		return err
	}
}

func (c *call) exceeded(e *budget.ExceededError) error {
	ids := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		ids[i] = r.Budget
	}
	sees, err := c.sees(ids)
	if err != nil {
		return err
	}
	all := make([]members, len(e.Refusals))
	for i, r := range e.Refusals {
		all[i] = refusalTo(r, sees(r.Budget))
	}
	extensions := refusalTo(e.Refusal, sees(e.Budget))
	extensions["refusals"] = all
	p := &Problem{
		Type: typeExceeded, Title: "Budget exceeded", Status: http.StatusPaymentRequired,
		Detail: "A budget has no room for this.", Extensions: extensions,
		Header: http.Header{"X-Should-Retry": {"false"}},
	}
	if sees(e.Budget) {
		p.Detail = fmt.Sprintf("The budget %q has no room for this.", e.Name)
	}
	if wait := e.ResetsAt.Sub(c.api.Now()); c.api.AlwaysTooMany || wait <= time.Hour {
		p.Status = http.StatusTooManyRequests
		p.Header = retryAfter(max(wait, 0))
	}
	return p
}

// refusalTo is what is told of a refusal to somebody who may, or may not, know of the budget.
func refusalTo(r budget.Refusal, seen bool) members {
	return told(r, seen, "budget", "metric", "requested", "resets_at")
}
