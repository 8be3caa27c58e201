package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/usage/price"
	"github.com/purser-go/purser/usage/provider"
)

func (p *program) price() *cobra.Command {
	q := &pricing{program: p}
	var lists []string
	var at instant
	c := &cobra.Command{
		Use:   "price --list FILE --usage FILE",
		Short: "Say what responses of models cost",
		Long: `Say what responses of models cost by a price list. A list is the JSON of genai-prices or of LiteLLM, or CSV with the columns
provider, model, match, from, tier, above, request and the classes of tokens; of several lists the earlier goes first.

Responses are the JSON that OpenAI, Anthropic, Gemini, Bedrock or Mistral answer with, or just {"model": …, "usage": …}: one
per line, or the elements of a JSON list, also gzipped. The interface that a response comes from is told by its shape, unless
it is named as in genai-prices: openai chat, openai responses, anthropic default, google default, aws default, mistral default.

With --json it prints an object per response. The tokens are disjoint: input_tokens leaves out what was cached. A response that
can't be read, does not say what was used or has no price is reported, and the others go on; it exits with 1 then.`,
		Example: `  purser price --list genai_prices.json --usage responses.jsonl
  curl … | purser price --list own.csv --list litellm.json --usage - --provider azure --json`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			p.command = c
			if err := errors.Join(q.api.Validate(), stdinOnce("usage", lists, q.files)); err != nil {
				return err
			}
			q.at = at.in(time.UTC)
			if q.at.IsZero() {
				q.at = time.Now()
			}
			if q.list, err = p.priceList(lists); err != nil {
				return err
			}
			return q.run(c.Context())
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&lists, "list", nil, "price list `FILE`; may be repeated")
	flags.StringArrayVar(&q.files, "usage", nil, "`FILE` of responses, or - for standard input; may be repeated")
	flags.StringVar(&q.api.Provider, "provider", "", "who answered (default by the response's shape)")
	flags.StringVar(&q.api.Name, "api", "", "by which interface (default by the response's shape)")
	flags.StringVar(&q.model, "model", "", "model of responses that name none")
	flags.Var(instantFlag(&at), "at", "the prices in force then; a date is its midnight in UTC (default now)")
	for _, name := range []string{"list", "usage"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic("purser: " + err.Error())
		}
	}
	return c
}

// pricesFlag registers the flag that names the prices of what comes without a cost.
func (p *program) pricesFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&p.lists, "prices", nil,
		"price list `FILE` for what comes without a cost, as of the command price; may be repeated")
}

// priceList reads lists and puts the earlier ones before the later ones.
func (p *program) priceList(files []string) (*price.List, error) {
	if err := stdinOnce("prices", files); err != nil {
		return nil, err
	}
	lists := make([]*price.List, len(files))
	for i, name := range files {
		file, err := p.open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defer file.Close()
		r, err := intake.Unpack(file)
		if err == nil {
			lists[i], err = price.Read(listName(name), r)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, plain(err))
		}
	}
	return price.Merge(lists...), nil
}

// listName returns what a list is called in what it priced: its file's name without what is behind the dot.
func listName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	name = strings.ToValidUTF8(name, "")
	if name == "" || name == "-" || len(name) > 40 {
		return "list"
	}
	return name
}

// A pricing is one run of the command price.
type pricing struct {
	program *program
	list    *price.List
	files   []string
	api     provider.API
	model   string
	at      time.Time

	line                *progress
	size                int64        // of the files in bytes, 0 if that can't be known
	read                atomic.Int64 // bytes
	responses, unpriced int64
	bad                 int64
	total               decimal.Decimal
}

func (q *pricing) run(ctx context.Context) error {
	q.size = totalSize(q.files)
	if !q.program.screen { // else the answers show how far it is
		q.line = q.program.newProgress("price", q.size > 0)
	}
	var failed error
	for _, file := range q.files {
		if err := q.file(ctx, file); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", file, plain(err)))
		}
	}
	q.line.end()
	if unseen := q.bad + q.unpriced - maxShown; unseen > 0 {
		q.program.complain("… and %s more", whole(unseen))
	}
	if !q.program.json {
		fmt.Fprintf(q.program.stdout, "%s responses, %s dollars\n", whole(q.responses), amount(q.total))
	}
	if q.bad+q.unpriced > 0 {
		failed = errors.Join(failed, fmt.Errorf("of %s responses %s can't be read, %s have no price",
			whole(q.responses), whole(q.bad), whole(q.unpriced)))
	}
	return failed
}

func (q *pricing) file(ctx context.Context, name string) error {
	file, err := q.program.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for value, err := range intake.Values(counting{file, &q.read}) {
		var row *intake.RowError
		if err != nil && !errors.As(err, &row) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		q.responses++
		answer := priced{Line: value.Line}
		if row != nil {
			answer.refuse(&budget.FieldError{Field: "line", Message: row.Err.Error()})
			q.bad++
		} else {
			q.price(value.JSON, &answer)
		}
		if err := q.show(name, answer); err != nil {
			return err
		}
		q.line.update(q.responses, estimate(q.responses, q.read.Load(), q.size))
	}
	return nil
}

// price answers what one response costs.
func (q *pricing) price(data []byte, answer *priced) {
	var recorded struct{ Body json.RawMessage } // with more beside it, as in a file of recordings
	if json.Unmarshal(data, &recorded) == nil && len(recorded.Body) > 0 && recorded.Body[0] == '{' {
		data = recorded.Body
	}
	u, err := provider.Read(data, q.api)
	if errors.Is(err, provider.ErrNoUsage) {
		err = &budget.FieldError{Field: "usage", Message: "is not there: what was used is unknown"}
	}
	if err != nil {
		answer.refuse(err)
		q.bad++
		return
	}
	if u.Model == "" {
		u.Model = q.model
	}
	answer.measure(u)
	quote, err := q.list.Quote(u.Query(q.at))
	if err != nil {
		answer.refuse(&budget.FieldError{Field: "model", Message: q.noPrice(err, u)})
		q.unpriced++
		return
	}
	answer.quote(quote)
	q.total = q.total.Add(quote.Total())
}

// noPrice says why there is none, and by which flag there may be one.
func (q *pricing) noPrice(err error, u provider.Usage) string {
	message := err.Error()
	switch {
	case u.Model == "":
		return message + "; --model names it"
	case q.api.Provider == "" && strings.HasSuffix(message, fmt.Sprintf("of provider %q", u.API.Provider)):
		return message + " (told by its shape; --provider names another)"
	default:
		return message
	}
}

// A priced is what is answered about one response. What is unknown is null.
type priced struct {
	Line         int              `json:"line"`
	Provider     string           `json:"provider,omitempty"`
	API          string           `json:"api,omitempty"`
	Model        string           `json:"model,omitempty"`
	Tier         string           `json:"service_tier,omitempty"`
	Input        *int64           `json:"input_tokens"`
	Output       *int64           `json:"output_tokens"`
	CacheCreated *int64           `json:"cache_creation_tokens"`
	CacheRead    *int64           `json:"cache_read_tokens"`
	Classes      map[string]int64 `json:"classes,omitempty"`
	InputPrice   *exact           `json:"input_price"`
	OutputPrice  *exact           `json:"output_price"`
	RequestPrice *exact           `json:"request_price"`
	Cost         *exact           `json:"cost"`
	PricedBy     string           `json:"priced_by,omitempty"`
	Errors       []finding        `json:"errors,omitempty"`
}

type finding struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (a *priced) measure(u provider.Usage) {
	a.Provider, a.API, a.Model, a.Tier = u.API.Provider, u.API.Name, u.Model, u.Tier
	amounts := u.Amounts()
	a.Input, a.Output = &amounts.InputTokens, &amounts.OutputTokens
	a.CacheCreated, a.CacheRead = &amounts.CacheCreationTokens, &amounts.CacheReadTokens
	a.Classes = make(map[string]int64)
	for _, class := range price.AllClasses() {
		if n := u.Classes[class]; n != 0 {
			a.Classes[class.String()] = n
		}
	}
}

func (a *priced) quote(q price.Quote) {
	a.InputPrice, a.OutputPrice, a.RequestPrice = new(exact(q.Input)), new(exact(q.Output)), new(exact(q.Requests))
	a.Cost, a.PricedBy = new(exact(q.Total())), q.By
}

func (a *priced) refuse(err error) {
	for _, f := range budget.FieldErrors(err) {
		a.Errors = append(a.Errors, finding{f.Field, f.Message})
	}
}

func (q *pricing) show(file string, a priced) error {
	if q.bad+q.unpriced <= maxShown {
		for _, f := range a.Errors {
			q.program.complain("%s:%d: %s: %s", file, a.Line, f.Field, f.Message)
		}
	}
	if a.Provider == "" && !q.program.json {
		return nil
	}
	return q.program.show(a, a.print)
}

// print prints an answer on one line.
func (a priced) print(w io.Writer) {
	fmt.Fprintf(w, "%d  %s/%s  %s ", a.Line, a.Provider, a.API, a.Model)
	for _, class := range price.AllClasses() {
		if n := a.Classes[class.String()]; n != 0 {
			fmt.Fprintf(w, " %s %s", strings.ReplaceAll(class.String(), "_", " "), whole(n))
		}
	}
	if a.Cost == nil {
		fmt.Fprintln(w, "  no price")
		return
	}
	fmt.Fprintf(w, "  $%s in, $%s out, $%s in all  by %s\n",
		decimal.Decimal(*a.InputPrice), decimal.Decimal(*a.OutputPrice), decimal.Decimal(*a.Cost), a.PricedBy)
}
