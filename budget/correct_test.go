package budget_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

func TestACorrectionTakesBackFromTheEventsPeriodAndSubject(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Scope: budget.Scope{"user": budget.Each, "team": "red"}})
	e := by("u1", of("acme", tokens("a", 50)))
	e.Labels = map[string]string{"team": "red"}
	f.record(e)
	f.now = noon.AddDate(0, 1, 0)
	f.correct(usage.Correction{ID: "c", Tenant: "acme", Event: "a", Reason: "refund", Amounts: usage.Amounts{InputTokens: 20}})
	f.now = noon
	f.used(b.ID, budget.Value{"user": "u1"}, "30")

	got := f.stored()[1]
	got.Hash = usage.Hash{}
	want := budget.StoredEvent{
		ID: "c", Subject: e.Subject, Time: noon, Totals: usage.Totals{InputTokens: -20, TotalTokens: -20},
		Flags: budget.TimeGiven | budget.CostGiven, Corrects: "a", Reason: "refund", RecordedAt: noon.AddDate(0, 1, 0),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	f.verified()
}

func TestCorrectionsCantTakeMoreThanTheEventHad(t *testing.T) {
	t.Parallel()
	amounts := func(n int64) usage.Amounts {
		return usage.Amounts{
			InputTokens: n, OutputTokens: n, CacheCreationTokens: n, CacheReadTokens: n, TotalTokens: new(n), Requests: new(n), Runs: n,
			Cost: new(usage.Dollars.Decimal(n)),
		}
	}
	tests := map[string]struct {
		take usage.Amounts
		want []string
	}{
		"all that is left":             {take: amounts(7)},
		"nothing":                      {take: usage.Amounts{}},
		"a part of each":               {take: amounts(1)},
		"more input":                   {usage.Amounts{InputTokens: 8, TotalTokens: new(int64(0))}, []string{"input_tokens"}},
		"more output":                  {usage.Amounts{OutputTokens: 8, TotalTokens: new(int64(0))}, []string{"output_tokens"}},
		"more cache creation":          {usage.Amounts{CacheCreationTokens: 8, TotalTokens: new(int64(0))}, []string{"cache_creation_tokens"}},
		"more cache reads":             {usage.Amounts{CacheReadTokens: 8, TotalTokens: new(int64(0))}, []string{"cache_read_tokens"}},
		"more in total":                {usage.Amounts{TotalTokens: new(int64(8))}, []string{"total_tokens"}},
		"more in total by the sum":     {usage.Amounts{InputTokens: 4, OutputTokens: 4}, []string{"total_tokens"}},
		"more requests":                {usage.Amounts{Requests: new(int64(8))}, []string{"requests"}},
		"more runs":                    {usage.Amounts{Runs: 8}, []string{"runs"}},
		"a billionth of a dollar more": {usage.Amounts{Cost: new(dec("0.000000008"))}, []string{"cost"}},
		"more of everything": {
			amounts(8),
			[]string{"input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens", "total_tokens", "requests", "runs", "cost"},
		},
		"less than nothing": {usage.Amounts{InputTokens: -1, TotalTokens: new(int64(0))}, []string{"input_tokens"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.record(usage.Event{ID: "a", Time: noon, Amounts: amounts(10)})
			f.correct(usage.Correction{ID: "c1", Event: "a", Amounts: amounts(3)})
			result, err := f.Correct(t.Context(), usage.Correction{ID: "c2", Event: "a", Amounts: test.take})
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			want := []string{"a", "c1", "c2"}
			outcome := budget.Recorded
			if test.want != nil {
				is(t, err, budget.ErrInvalid)
				want, outcome = want[:2], budget.Invalid
			}
			if result.Outcome != outcome || result.ID != "c2" {
				t.Errorf("%+v, want %s", result, outcome)
			}
			if diff := cmp.Diff(want, f.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			f.verified()
		})
	}
}

func TestCorrect(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		correction usage.Correction
		want       budget.Outcome
		err        error
	}{
		"the same again counts nothing":             {back("c", "a", 3), budget.Duplicate, nil},
		"another content is a conflict":             {back("c", "a", 4), budget.Conflict, budget.ErrConflict},
		"of another event it is another content":    {back("c", "b", 3), budget.Conflict, budget.ErrConflict},
		"an event's id is taken":                    {back("b", "a", 3), budget.Conflict, budget.ErrConflict},
		"an event that is not there":                {back("d", "x", 3), budget.Invalid, budget.ErrNotFound},
		"another tenant's event is not there":       {usage.Correction{ID: "d", Tenant: "acme", Event: "a"}, budget.Invalid, budget.ErrNotFound},
		"a correction is not corrected":             {back("d", "c", 1), budget.Invalid, budget.ErrInvalid},
		"an invalid one":                            {back("", "a", 1), budget.Invalid, budget.ErrInvalid},
		"what requests are not given are not taken": {back("d", "a", 1), budget.Recorded, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			b, requests := f.create(budget.Budget{}), f.create(budget.Budget{Metric: usage.Requests})
			f.record(tokens("a", 10), tokens("b", 10))
			f.correct(back("c", "a", 3))
			result, err := f.Correct(t.Context(), test.correction)
			is(t, err, test.err)
			if result.Outcome != test.want {
				t.Errorf("%s, want %s", result.Outcome, test.want)
			}
			used := "17"
			if test.want == budget.Recorded {
				used = "16"
			}
			f.used(b.ID, nil, used)
			f.used(requests.ID, nil, "2")
			f.verified()
		})
	}
}

func TestACorrectionOfCreditsTakesTheDifferenceOfTheRoundedAmounts(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{Metric: usage.Credits, CostPerCredit: dec("3")})
	f.record(costing("a", "1"), costing("b", "1"))
	f.used(b.ID, nil, "0.666666")
	// What is left of a is half a dollar: 0.1666… credits, rounded up.
	f.correct(usage.Correction{ID: "c", Event: "a", Amounts: usage.Amounts{Cost: new(dec("0.5"))}})
	f.used(b.ID, nil, "0.5")
	f.correct(usage.Correction{ID: "d", Event: "a", Amounts: usage.Amounts{Cost: new(dec("0.5"))}})
	f.used(b.ID, nil, "0.333333")
	f.verified()
}

func TestACorrectionWhoseOutcomeIsUnknownIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"committed": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := failing(t, committed, nil, nil, budget.ErrOutcomeUnknown)
			b := f.create(budget.Budget{})
			f.record(tokens("a", 10))
			result, err := f.Correct(t.Context(), back("c", "a", 10))
			want := map[bool]budget.Outcome{true: budget.Duplicate, false: budget.Recorded}[committed]
			if err != nil || result.Outcome != want {
				t.Errorf("%s, want %s: %v", result.Outcome, want, err)
			}
			f.used(b.ID, nil, "0")
			f.verified()
		})
	}
}

func TestACorrectionThatFailsIsNotStored(t *testing.T) {
	t.Parallel()
	f := open(t)
	b := f.create(budget.Budget{})
	f.record(tokens("a", 10))
	f.store.FailNext(errDisk)
	result, err := f.Correct(t.Context(), back("c", "a", 10))
	is(t, err, errDisk)
	if result.Outcome != budget.Unknown {
		t.Errorf("%s, want unknown", result.Outcome)
	}
	f.used(b.ID, nil, "10")
	f.verified()
}
