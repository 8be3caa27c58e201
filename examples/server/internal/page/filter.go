package page

import (
	"net/http"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A filter says which of the budgets a list shows.
type filter struct {
	Metrics, States []choice
	Owner           string
	ByOwner         bool // the caller sees budgets of others
}

// A choice is one of several.
type choice struct {
	Value, Name string
	Chosen      bool
}

// filtered narrows a query down as the request asks, and returns the filter with what was chosen.
func filtered(r *http.Request, q budget.Query) (budget.Query, filter) {
	asked := r.URL.Query()
	f := filter{Owner: asked.Get("owner"), ByOwner: q.Owner == nil}
	if f.ByOwner && f.Owner != "" {
		q.Owner = &f.Owner
	}
	f.Metrics = []choice{{Name: "any"}}
	for _, m := range usage.Metrics() {
		chosen := asked.Get("metric") == string(m)
		if chosen {
			q.Metric = m
		}
		f.Metrics = append(f.Metrics, choice{string(m), metricName(m), chosen})
	}
	state := asked.Get("state")
	switch state {
	case "enabled":
		q.Enabled = new(true)
	case "disabled":
		q.Enabled = new(false)
	}
	f.States = []choice{{Name: "any"}, {"enabled", "enabled", state == "enabled"}, {"disabled", "disabled", state == "disabled"}}
	return q, f
}
