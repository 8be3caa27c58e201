package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
	"github.com/purser-go/purser/usage"
)

// maxBody is the length of the longest body but for those of batches, in bytes.
const maxBody = 1 << 20

// A call is one request of a caller who is known.
type call struct {
	*http.Request
	api    *API
	route  *Route
	caller *access.Caller
	ledger *budget.Ledger // whose changes are the caller's
	writer http.ResponseWriter
	query  url.Values
	body   []byte
	status int // of the answer; 0: 200
	once   once
}

// newCall reads what a request has. Errors are *Problem or ErrInvalid.
func newCall(a *API, w http.ResponseWriter, r *http.Request, route *Route, caller *access.Caller) (*call, error) {
	c := &call{Request: r, api: a, route: route, caller: caller, ledger: a.Ledger.By(caller.User), writer: w}
	if route.Needs != "" {
		if err := c.needs(route.Needs); err != nil {
			return nil, err
		}
	}
	var err error
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, invalid.Field("query", "is not well formed")
	}
	limit := route.maxBody
	if limit == 0 {
		limit = maxBody
	}
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, &Problem{
				Status: http.StatusRequestEntityTooLarge,
				Detail: fmt.Sprintf("The body may have at most %d bytes.", limit),
			}
		}
		return nil, &Problem{Status: http.StatusBadRequest, Detail: "The body could not be read."}
	}
	if r.Method == http.MethodPost {
		err = c.readOnce()
	}
	return c, err
}

func (c *call) answer() (any, error) {
	return c.route.handle(c)
}

// needs refuses a caller without this permission.
func (c *call) needs(permission string) error {
	if !c.caller.May(permission) {
		return forbidden(permission)
	}
	return nil
}

// object reads the members of the body.
func (c *call) object(read func(name string, value json.RawMessage) error) error {
	return jsonread.Object("body", c.body, len(c.body), read)
}

// param returns a parameter of the query, of a repeated one the last, and whether it is there and not empty.
func (c *call) param(name string) (string, bool) {
	values := c.query[name]
	if len(values) == 0 || values[len(values)-1] == "" {
		return "", false
	}
	return values[len(values)-1], true
}

// text returns a parameter that is a name: "" if it is not there.
func (c *call) text(name string) (string, error) {
	value, _ := c.param(name)
	return value, invalid.OptionalName(name, value)
}

// number returns a whole number from minimum to maximum. One that is too large for an int is the largest.
func (c *call) number(name string, standard, minimum, maximum int) (int, error) {
	value, ok := c.param(name)
	if !ok {
		return standard, nil
	}
	n, err := strconv.Atoi(value)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // n is the nearest int
	}
	if err != nil || n < minimum || n > maximum {
		return 0, invalid.Field(name, "must be a whole number from %d to %d", minimum, maximum)
	}
	return n, nil
}

// flag returns a parameter that is true or false, nil if it is not there.
func (c *call) flag(name string) (*bool, error) {
	value, ok := c.param(name)
	if !ok {
		return nil, nil //nolint:nilnil // neither true nor false nor wrong
	}
	switch strings.ToLower(value) {
	case "true", "1", "yes", "on":
		return new(true), nil
	case "false", "0", "no", "off":
		return new(false), nil
	}
	return nil, invalid.Field(name, "must be true or false")
}

// metric returns a parameter that names a metric, "" if it is not there.
func (c *call) metric(name string) (usage.Metric, error) {
	value, ok := c.param(name)
	if !ok {
		return "", nil
	}
	if m := usage.Metric(value); m.Valid() {
		return m, nil
	}
	return "", invalid.Field(name, "must be one of %v", usage.Metrics())
}

// time returns a parameter that is an RFC 3339 time, the zero time if it is not there.
func (c *call) time(name string) (time.Time, error) {
	value, ok := c.param(name)
	if !ok {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	switch {
	case err != nil:
		err = invalid.Field(name, "must be an RFC 3339 time such as 2026-03-01T09:30:00Z")
	case t.IsZero():
		err = invalid.Field(name, "must be from 1980 to 2199") // else it would mean that it is not there
	}
	return t.UTC(), err
}

// zone returns the time zone that the query names, the reporting zone if it names none.
func (c *call) zone() (*time.Location, error) {
	name, ok := c.param("zone")
	if !ok {
		return c.api.Zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, invalid.Field("zone", "must be an IANA time zone such as Europe/Berlin")
	}
	return zone, nil
}

// cursor is where a page begins: a time and an id, or an id alone.
type cursor struct {
	Time time.Time `json:"t,omitzero"`
	ID   string    `json:"i"`
	Of   string    `json:"o,omitempty"` // the tenant that the id is of
}

// next writes a cursor for the client, to whom it means nothing.
func (c cursor) next() *string {
	text, err := json.Marshal(c)
	if err != nil {
		panic("purser: a time and two texts can't be written: " + err.Error())
	}
	return new(base64.RawURLEncoding.EncodeToString(text))
}

// after returns the cursor that the query has, nil if it has none.
func (c *call) after() (*cursor, error) {
	value, ok := c.param("after")
	if !ok {
		return nil, nil //nolint:nilnil // the first page begins nowhere
	}
	var found cursor
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || json.Unmarshal(text, &found) != nil || !utf8.ValidString(found.ID) {
		return nil, invalid.Field("after", `must be a cursor as "next" gave it`)
	}
	if err := errors.Join(invalid.Name("after", found.ID), invalid.OptionalName("after", found.Of)); err != nil {
		return nil, err
	}
	return &found, nil
}

// How many rows a page of a list has.
const (
	defaultPage = 100
	maxPage     = 1000
)
