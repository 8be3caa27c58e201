package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
)

// A Problem is an error as the client is told of it, by RFC 9457.
type Problem struct {
	Type       string // a URI reference of this server's documentation; "": about:blank, the status says it all
	Title      string // of the type; "": the status's
	Status     int
	Detail     string
	Errors     []FieldProblem // what is wrong with the input; nil: not that
	Extensions any            // written as an object, whose members stand beside the others; nil: none
	Header     http.Header    // nil: none
}

// A FieldProblem says what is wrong with one field of the input.
type FieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (p *Problem) Error() string { return p.Detail }

// MarshalJSON writes p as an RFC 9457 object.
func (p *Problem) MarshalJSON() ([]byte, error) {
	members := make(map[string]any)
	if p.Extensions != nil {
		text, err := json.Marshal(p.Extensions)
		if err != nil {
			return nil, err
		}
		var extensions map[string]json.RawMessage
		if err := json.Unmarshal(text, &extensions); err != nil {
			return nil, err
		}
		for name, value := range extensions {
			members[name] = value
		}
	}
	members["type"], members["title"] = p.Type, p.Title
	if p.Type == "" {
		members["type"] = "about:blank"
	}
	if p.Title == "" {
		members["title"] = http.StatusText(p.Status)
	}
	members["status"], members["detail"] = p.Status, p.Detail
	if p.Errors != nil {
		members["errors"] = p.Errors
	}
	return json.Marshal(members)
}

// The types of problems that have one.
const (
	typeInvalid  = "/docs#invalid"
	typeExceeded = "/docs#exceeded"

	titleInvalid = "Invalid input"
)

func notFound(detail string) error { return &Problem{Status: http.StatusNotFound, Detail: detail} }

func forbidden(permission string) error {
	return &Problem{Status: http.StatusForbidden, Detail: "The permission " + permission + " is missing."}
}

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := a.problem(r, err)
	for name, values := range p.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, p.Status, "application/problem+json", p)
}

// problem says what the client is told of an error.
func (a *API) problem(r *http.Request, err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, access.ErrUnauthorized):
		return &Problem{
			Status: http.StatusUnauthorized, Detail: "A valid token is needed.",
			Header: http.Header{"Www-Authenticate": {"Bearer"}},
		}
	case errors.Is(err, access.ErrTooMany):
		return &Problem{
			Status: http.StatusTooManyRequests, Detail: "There were too many failed attempts from this address.",
			Header: retryAfter(access.RetryAfter),
		}
	case errors.Is(err, budget.ErrInvalid), errors.Is(err, budget.ErrPruned), errors.Is(err, budget.ErrOverflow):
		return invalidProblem(err)
	case errors.Is(err, budget.ErrNotFound):
		return &Problem{Status: http.StatusNotFound, Detail: "Not found"}
	case errors.Is(err, budget.ErrConflict), errors.Is(err, budget.ErrClosed):
		return &Problem{Status: http.StatusConflict, Detail: err.Error()}
	case errors.Is(err, budget.ErrUnavailable), errors.Is(err, budget.ErrOutcomeUnknown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		a.Log.WarnContext(r.Context(), "not answered", "method", r.Method, "path", r.URL.Path, "error", err)
		return &Problem{
			Status: http.StatusServiceUnavailable, Detail: "The database gave no answer. Try again: what has an id counts once.",
			Header: retryAfter(time.Second),
		}
	default:
		a.Log.ErrorContext(r.Context(), "failed", "method", r.Method, "path", r.URL.Path, "error", err)
		return &Problem{Status: http.StatusInternalServerError, Detail: "Something went wrong inside; it is logged."}
	}
}

func retryAfter(d time.Duration) http.Header {
	seconds := max(1, int(math.Ceil(d.Seconds())))
	return http.Header{"Retry-After": {strconv.Itoa(seconds)}}
}

// invalidProblem lists what is wrong with the input. Its detail has all of it too, for people.
func invalidProblem(err error) *Problem {
	p := &Problem{
		Type: typeInvalid, Title: titleInvalid, Status: http.StatusUnprocessableEntity, Errors: fieldProblems(err),
	}
	for i, f := range p.Errors {
		if i > 0 {
			p.Detail += "; "
		}
		p.Detail += f.Field + ": " + f.Message
	}
	if len(p.Errors) == 0 {
		p.Detail = err.Error()
		p.Errors = []FieldProblem{{"request", p.Detail}}
	}
	return p
}

// maxProblems is how many findings an answer lists. A body has room for hundreds of thousands.
const maxProblems = 100

// fieldProblems returns what err's tree says of fields, the first of it, an empty list if nothing.
func fieldProblems(err error) []FieldProblem {
	problems := []FieldProblem{}
	found := invalid.Fields(err)
	for _, f := range found[:min(len(found), maxProblems)] {
		problems = append(problems, FieldProblem{f.Field, f.Message})
	}
	return problems
}

// within says what is wrong with fields of a part as what is wrong with fields of the whole.
func within(part string, err error) error {
	var errs []error
	for _, f := range invalid.Fields(err) {
		errs = append(errs, invalid.Field(part+"."+f.Field, "%s", f.Message))
	}
	if err != nil && len(errs) == 0 {
		return err
	}
	return errors.Join(errs...)
}

// renamed returns err with what it says of one field said of another, which is what the field is called in the request.
func renamed(err error, field, to string) error {
	for _, f := range invalid.Fields(err) {
		if f.Field == field {
			f.Field = to
		}
	}
	return err
}

// writeJSON writes an answer. What can't be written any more has no one left to be told.
func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	text, err := marshal(body)
	if err != nil {
		panic(err) // every answer is a value of ours
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
