package alert_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/usage"
)

func TestRouteMatches(t *testing.T) {
	t.Parallel()
	warning := alert.Alert{
		Budget: "b", Owner: "finance", Labels: map[string]string{"team": "ml", "env": "prod"},
		Scope: map[usage.Dimension]string{usage.Tenant: "acme", usage.User: "u1"}, Kind: alert.Threshold, Level: alert.Warning,
	}
	resolved := alert.Alert{Kind: alert.Resolved, Level: alert.OK, Left: alert.Critical}
	tests := map[string]struct {
		route alert.Route
		alert alert.Alert
		want  bool
	}{
		"the zero route takes all":                     {alert.Route{}, alert.Alert{}, true},
		"all fields are met":                           {alert.Route{Budget: "b", Owner: "finance", Labels: warning.Labels, Scope: warning.Scope, Kinds: []alert.Kind{alert.Threshold}, Level: alert.Warning}, warning, true},
		"another budget":                               {alert.Route{Budget: "c"}, warning, false},
		"another owner":                                {alert.Route{Owner: "ops"}, warning, false},
		"a budget without owner":                       {alert.Route{Owner: "ops"}, alert.Alert{}, false},
		"some of the labels":                           {alert.Route{Labels: map[string]string{"team": "ml"}}, warning, true},
		"a label with another value":                   {alert.Route{Labels: map[string]string{"team": "ml", "env": "test"}}, warning, false},
		"a label that is not there":                    {alert.Route{Labels: map[string]string{"cost": ""}}, warning, false},
		"some of the scope":                            {alert.Route{Scope: map[usage.Dimension]string{usage.User: "u1"}}, warning, true},
		"another value of the scope":                   {alert.Route{Scope: map[usage.Dimension]string{usage.User: "u2"}}, warning, false},
		"a dimension that the scope does not have":     {alert.Route{Scope: map[usage.Dimension]string{usage.Resource: "large"}}, warning, false},
		"one of the kinds":                             {alert.Route{Kinds: []alert.Kind{alert.Blocked, alert.Threshold}}, warning, true},
		"none of the kinds":                            {alert.Route{Kinds: []alert.Kind{alert.Blocked, alert.Forecast}}, warning, false},
		"a higher level":                               {alert.Route{Level: alert.OK}, warning, true},
		"a lower level":                                {alert.Route{Level: alert.Critical}, warning, false},
		"a resolved one goes where the alert went":     {alert.Route{Level: alert.Critical}, resolved, true},
		"and not where the alert did not go":           {alert.Route{Level: alert.Exceeded}, resolved, false},
		"a blocked one by what is used: it may be any": {alert.Route{Kinds: []alert.Kind{alert.Blocked}}, alert.Alert{Kind: alert.Blocked}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.route.Matches(test.alert); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	routes := []alert.Route{
		{Kinds: []alert.Kind{alert.Threshold}, Sinks: []string{"mail", "log"}},
		{Level: alert.Critical, Sinks: []string{"page", "log"}},
		{Budget: "quiet"},
	}
	tests := map[string]struct {
		alert alert.Alert
		want  []string
	}{
		"a route's sinks are all taken": {
			alert.Alert{ID: "1", Kind: alert.Threshold}, []string{"1 to log", "1 to mail"},
		},
		"and those of all routes that match, each once": {
			alert.Alert{ID: "2", Kind: alert.Threshold, Level: alert.Critical}, []string{"2 to log", "2 to mail", "2 to page"},
		},
		"where none matches, it is the default": {
			alert.Alert{ID: "3", Kind: alert.Blocked}, []string{"3 to hook"},
		},
		"a route to no sink is none to the default": {
			alert.Alert{ID: "4", Kind: alert.Blocked, Budget: "quiet"}, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, o := newSink(nil), &outbox{}
				options := alert.Options{
					Sinks:  map[string]alert.Sink{"log": s, "mail": s, "page": s, "hook": s},
					Routes: routes, Default: []string{"hook"},
				}
				o.add(test.alert)
				dispatch(t, o, options, time.Second)
				var got []string
				for _, d := range o.deliveries {
					got = append(got, d.Alert.ID+" to "+d.Sink)
				}
				equal(t, "deliveries", test.want, got)
				equal(t, "tries", len(test.want), len(s.tries()))
			})
		})
	}
}
