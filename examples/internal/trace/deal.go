package trace

import (
	"errors"
	"io"
	"iter"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/usage"
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

// prices are in 1e-9 dollars per token, which is in dollars per million tokens times 1,000.
var prices = map[string]struct{ input, output int64 }{
	"conv": {500, 1500},
	"code": {3000, 15000},
}

// Rule says in a few lines what is real of the events and how the rest is made up.
const Rule = `Times and tokens are real. Invented by a fixed rule are
  tenants   request n, counted from 0, is of acme, acme, acme, globex, globex or initech: n mod 6
  users     of acme: ada, ada, ada, bob, bob, cyd, cyd; of globex: five times dan, twice eve: n mod 7; of initech: fay
  keys      every fifth request has the tenant's key -batch, the others its key -app: n mod 5
  prices    per million tokens in and out: conv $0.50 and $1.50, code $3 and $15`

// Events yields every request as an event, ascending by time.
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
	price := prices[e.Resource]
	cost := decimal.New(e.InputTokens*price.input+e.OutputTokens*price.output, -usage.Dollars.Scale())
	e.Cost = &cost
}
