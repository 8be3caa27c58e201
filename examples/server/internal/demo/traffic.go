package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/examples/internal/trace"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

// Rule says in a few lines what is real of the usage and how the rest is made up.
const Rule = `Tokens, the minute and second of each request, and prices (pydantic/genai-prices, MIT) are real. Invented by fixed rules are
  days      the requests of one hour are thinned and spread over 120 days: more by day than by night, fewer at weekends, more
            and more towards now, from day to day half as uneven as that hour's minutes were; each stands for 400 like it
  tenants   acme, globex and initech, and hooli for every twelfth request; their users and keys
  models    by tenant; three fifths of what is sent to Claude are read from the cache, a tenth is written to it
  runs      every twenty-fifth request ends one`

const (
	days      = 120
	perDay    = 170.0 // events on an average day
	standsFor = 400   // requests of one event
)

var allTime = period.Bounds{Start: usage.MinTime, End: usage.EndTime}

// How much is used by the hour of the day and on the days of the week, Sunday first, and how that grows.
var (
	byHour = [24]float64{
		.15, .10, .10, .10, .10, .20, .40, .80, 1.3, 1.7, 1.9, 1.8, 1.5, 1.7, 1.9, 1.8, 1.6, 1.3, 1.0, .80, .60, .50, .35, .25,
	}
	byWeekday = [7]float64{.35, 1.1, 1.2, 1.25, 1.15, .95, .4}
)

const (
	growsFrom = 0.55
	growsBy   = 0.9 // in all the days
)

// traffic returns the events of the days before now, ascending by time.
func traffic(now time.Time) ([]usage.Event, error) {
	requests, busy, err := thinned()
	if err != nil {
		return nil, err
	}
	prices, err := trace.Prices()
	if err != nil {
		return nil, err
	}
	begin := now.Truncate(24*time.Hour).AddDate(0, 0, -days)
	first := requests[0].Time
	var events []usage.Event
	due := 0.0
	for hour := begin; hour.Before(now); hour = hour.Add(time.Hour) {
		grown := growsFrom + growsBy*hour.Sub(begin).Hours()/(24*days)
		day := 0.5 + 0.5*busy[int(hour.Sub(begin)/(24*time.Hour))%len(busy)]
		for due += perDay / 24 * day * grown * byHour[hour.Hour()] * byWeekday[hour.Weekday()]; due >= 1; due-- {
			n := len(events)
			request := requests[n%len(requests)]
			e, err := event(n, request, prices)
			if err != nil {
				return nil, err
			}
			e.Time = hour.Add(request.Time.Sub(first) % time.Hour)
			events = append(events, e)
		}
	}
	slices.SortStableFunc(events, func(a, b usage.Event) int { return a.Time.Compare(b.Time) })
	end, _ := slices.BinarySearchFunc(events, now, func(e usage.Event, t time.Time) int { return e.Time.Compare(t) })
	return events[:end], nil
}

// thinned returns the requests of the trace in an order in which those that follow each other are far apart, and how busy each
// whole minute of the trace was: 1 on average.
func thinned() (requests []usage.Event, busy []float64, err error) {
	var all []usage.Event
	perMinute := make(map[time.Time]int)
	for e, err := range trace.Events() {
		if err != nil {
			return nil, nil, err
		}
		all = append(all, e)
		perMinute[e.Time.Truncate(time.Minute)]++
	}
	const stride = 17_419 // by the golden ratio, and with no divisor in common with how many there are
	for i := range all {
		requests = append(requests, all[i*stride%len(all)])
	}
	whole := slices.SortedFunc(maps.Keys(perMinute), time.Time.Compare)[1 : len(perMinute)-1]
	mean := float64(len(all)) / float64(len(perMinute))
	for _, minute := range whole {
		busy = append(busy, float64(perMinute[minute])/mean)
	}
	return requests, busy, nil
}

// models are what tenants use for the two services of the trace.
var models = map[string]map[string]string{
	"gpt-3.5-turbo":     {"acme": "gpt-5-mini", "globex": "gpt-3.5-turbo", "initech": "claude-haiku-4-5", "hooli": "gpt-3.5-turbo"},
	"claude-sonnet-4-5": {"acme": "claude-sonnet-4-5", "globex": "claude-haiku-4-5", "initech": "claude-sonnet-4-5", "hooli": "claude-sonnet-4-5"},
}

// event makes an event of the nth request.
func event(n int, request usage.Event, prices *price.List) (usage.Event, error) {
	e := request
	e.ID = fmt.Sprintf("demo-%06d", n)
	if n%12 == 11 {
		e.Tenant, e.User, e.APIKey = "hooli", []string{"gil", "hal"}[n/12%2], "hooli-app"
	}
	e.Resource = models[request.Resource][e.Tenant]
	if strings.HasPrefix(e.Resource, "claude-") {
		in := e.InputTokens
		e.CacheReadTokens, e.CacheCreationTokens = in*3/5, in/10
		e.InputTokens = in - e.CacheReadTokens - e.CacheCreationTokens
	}
	cost, _, err := prices.Price(e)
	if err != nil {
		return e, err
	}
	e.Cost = new(cost.Mul(decimal.NewFromInt(standsFor)).Round(usage.Dollars.Scale()))
	for _, tokens := range []*int64{&e.InputTokens, &e.OutputTokens, &e.CacheReadTokens, &e.CacheCreationTokens} {
		*tokens *= standsFor
	}
	e.Requests = new(int64(standsFor))
	if n%25 == 24 {
		e.Runs = 1
	}
	return e, nil
}
