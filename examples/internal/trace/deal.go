package trace

import (
	_ "embed"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/price"
)

// The tenants and users that requests are dealt to, by the request's number modulo the length of the list.
var (
	tenants = []string{"acme", "acme", "acme", "globex", "globex", "initech"}
	users   = map[string][]string{
		"acme":    {"ada", "ada", "ada", "bob", "bob", "cyd", "cyd"},
		"globex":  {"dan", "dan", "dan", "dan", "dan", "eve", "eve"},
		"initech": {"fay"},
	}
)

// Tenants returns the names of the tenants.
func Tenants() []string { return []string{"acme", "globex", "initech"} }

// batchKey is the API key of every fifth request of a tenant.
const batchKey = 5

// models are the models to which the requests of a service are said to have gone.
var models = map[string]string{"conv": "gpt-3.5-turbo", "code": "claude-sonnet-4-5"}

//go:embed prices.csv
var prices string

// Prices returns the price list of the models, which the events come without: a part of that of genai-prices.
func Prices() (*price.List, error) { return price.ReadCSV("trace", strings.NewReader(prices)) }

// Rule says in a few lines what is real of the events and how the rest is made up.
const Rule = `Times, tokens and prices (pydantic/genai-prices, MIT) are real. Invented by a fixed rule are
  tenants   request n, counted from 0, is of acme, acme, acme, globex, globex or initech: n mod 6
  users     of acme: ada, ada, ada, bob, bob, cyd, cyd; of globex: five times dan, twice eve: n mod 7; of initech: fay
  keys      every fifth request has the tenant's key -batch, the others its key -app: n mod 5
  models    conv is gpt-3.5-turbo, code is claude-sonnet-4-5`

// Events yields every request as an event without a cost, ascending by time.
func Events() iter.Seq2[usage.Event, error] {
	return func(yield func(usage.Event, error) bool) {
		options := &intake.Options{Columns: map[string]string{"resource": "service"}}
		r, err := intake.NewReader(Requests(), options)
		for n := 0; err == nil; n++ {
			var row intake.Row
			if row, err = r.Read(); err == nil {
				deal(&row.Event, n)
				if !yield(row.Event, nil) {
					return
				}
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(usage.Event{}, err)
		}
	}
}

func deal(e *usage.Event, n int) {
	e.Tenant = tenants[n%len(tenants)]
	names := users[e.Tenant]
	e.User = names[n%len(names)]
	e.APIKey = e.Tenant + "-app"
	if n%batchKey == batchKey-1 {
		e.APIKey = e.Tenant + "-batch"
	}
	e.Resource = models[e.Resource]
}
