package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/purser-go/purser/budget"
)

// exceeded tells of a refusal. 402 says that trying again is no use: model SDKs do that by themselves at 409 and 429. Where
// the period ends soon it is of use.
func (a *API) exceeded(err error) *Problem {
	var e *budget.ExceededError
	if !errors.As(err, &e) {
		return &Problem{Type: typeExceeded, Title: "Budget exceeded", Status: http.StatusPaymentRequired, Detail: err.Error()}
	}
	p := &Problem{
		Type: typeExceeded, Title: "Budget exceeded", Status: http.StatusPaymentRequired,
		Detail:     fmt.Sprintf("The budget %q has no room for this.", e.Name),
		Extensions: json.Marshaler(e),
		Header:     http.Header{"X-Should-Retry": {"false"}},
	}
	if wait := e.ResetsAt.Sub(a.Now()); a.AlwaysTooMany || wait <= time.Hour {
		p.Status = http.StatusTooManyRequests
		p.Header = retryAfter(max(wait, 0))
	}
	return p
}
