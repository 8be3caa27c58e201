package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
	"github.com/purser-go/purser/usage"
)

func (a *API) reservationRoutes() []Route {
	const all, one = "/api/v1/reservations", "/api/v1/reservations/{id}"
	return []Route{
		{Method: http.MethodGet, Path: all, handle: listReservations},
		{Method: http.MethodPost, Path: all, handle: reserve},
		{Method: http.MethodGet, Path: one, handle: getReservation},
		{Method: http.MethodPost, Path: one + "/settle", handle: settle},
		{Method: http.MethodPost, Path: one + "/release", handle: release},
		{Method: http.MethodPost, Path: one + "/extend", handle: extend},
		{Method: http.MethodPost, Path: "/api/v1/check", handle: check},
	}
}

// A receipt is what whoever made a reservation, or extended it, needs to know of it.
type receipt struct {
	ID      string    `json:"id"`
	Tenant  *string   `json:"tenant"`
	State   string    `json:"state"`
	Expires time.Time `json:"expires_at"`
}

// reserve holds room for an estimate in every budget that covers it, or in none: 402 or 429 then, with the budgets that have
// no room. It answers 201 also to the same request sent again while it holds.
func reserve(c *call) (any, error) {
	request, err := c.request(nil)
	if err == nil {
		err = c.usageClaim()
	}
	if err != nil {
		return nil, err
	}
	request.ID = cmp.Or(request.ID, c.once.id())
	reservation, err := c.ledger.Reserve(c.Context(), request)
	if err != nil {
		return nil, c.refused(err)
	}
	c.status = http.StatusCreated
	c.writer.Header().Set("Location", reservationPath(reservation.Key(), c.caller))
	return newReceipt(reservation.Key(), reservation.Expires()), nil
}

func newReceipt(key budget.ReservationKey, expires time.Time) receipt {
	return receipt{ID: key.ID, Tenant: optionalText(key.Tenant), State: stateNames[budget.Open], Expires: expires}
}

// reservationPath returns where a reservation is for this caller.
func reservationPath(key budget.ReservationKey, caller *access.Caller) string {
	path := "/api/v1/reservations/" + url.PathEscape(key.ID)
	if caller.Platform() && key.Tenant != "" {
		path += "?tenant=" + url.QueryEscape(key.Tenant)
	}
	return path
}

// check says what would become of a request now, or at another time, and why: what each budget says that covers it. Of those
// that the caller may not read it says no name and no figure but what was asked for.
func check(c *call) (any, error) {
	var at time.Time
	request, err := c.request(&at)
	if err == nil {
		err = c.usageClaim()
	}
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		at = c.api.Now()
	}
	decision, err := c.ledger.CheckAt(c.Context(), request, at)
	if err != nil {
		return nil, renamed(err, "time", "at")
	}
	verdicts := make([]members, len(decision.Verdicts))
	for i, v := range decision.Verdicts {
		verdicts[i] = told(v, c.caller.Sees(&v.Budget), "id", "metric", "requested", "unknown", "reason", "refused")
	}
	return struct {
		Admitted bool      `json:"admitted"`
		At       time.Time `json:"at"`
		Budgets  []members `json:"budgets"`
	}{decision.Admitted(), decision.At, verdicts}, nil
}

// request reads what room is asked for, and, unless at is nil, at which time.
func (c *call) request(at *time.Time) (r budget.Request, err error) {
	err = c.object(func(name string, value json.RawMessage) error {
		switch {
		case name == "id":
			return jsonread.Text(name, value, &r.ID)
		case name == "estimate":
			return readAmounts(name, value, &r.Estimate)
		case name == "ttl_seconds":
			return readSeconds(name, value, &r.TTL)
		case name == "at" && at != nil:
			return jsonread.Time(name, value, at)
		default:
			return readSubjectMember(name, value, &r.Subject)
		}
	})
	return r, errors.Join(err, c.ownTenant(&r.Tenant), invalid.OptionalName("id", r.ID), r.Subject.Validate(),
		within("estimate", r.Estimate.Validate()))
}

func readSubjectMember(name string, value json.RawMessage, to *usage.Subject) error {
	switch name {
	case "tenant":
		return jsonread.Text(name, value, &to.Tenant)
	case "user":
		return jsonread.Text(name, value, &to.User)
	case "api_key":
		return jsonread.Text(name, value, &to.APIKey)
	case "resource":
		return jsonread.Text(name, value, &to.Resource)
	case "labels":
		return jsonread.Texts(name, value, &to.Labels)
	default:
		return jsonread.UnknownMember(name)
	}
}

// readAmounts reads an object of amounts. null leaves them as they are.
func readAmounts(name string, value json.RawMessage, to *usage.Amounts) error {
	if jsonread.IsNull(value) {
		return nil
	}
	if value[0] != '{' {
		return invalid.Field(name, "must be a JSON object")
	}
	return within(name, to.UnmarshalJSON(value))
}

// maxSeconds is the longest time for which room is held.
const maxSeconds = 7 * 24 * 60 * 60

// readSeconds reads a length of time. null leaves it as it is.
func readSeconds(name string, value json.RawMessage, to *time.Duration) error {
	if jsonread.IsNull(value) {
		return nil
	}
	number, err := usage.ParseJSONDecimal(value)
	if err == nil {
		var seconds int64
		if seconds, err = usage.Units(number, 0); err == nil && seconds > 0 && seconds <= maxSeconds {
			*to = time.Duration(seconds) * time.Second
			return nil
		}
	}
	return invalid.Field(name, "must be a whole number from 1 to %d", maxSeconds)
}

// reservationKey returns which reservation the path is about: one of the caller's tenant, or, for the platform's callers, of
// the tenant that the query names, none if it names none.
func (c *call) reservationKey() (budget.ReservationKey, error) {
	tenant, err := c.text("tenant")
	key := budget.ReservationKey{Tenant: tenant, ID: c.PathValue("id")}
	if err := errors.Join(err, invalid.Name("id", key.ID)); err != nil {
		return key, err
	}
	if c.ownTenant(&key.Tenant) != nil {
		return key, errNoReservation
	}
	return key, nil
}

var errNoReservation = notFound("Reservation not found")

// reservationError says of a reservation that there is none.
func reservationError(err error) error {
	if errors.Is(err, budget.ErrNotFound) {
		return errNoReservation
	}
	return err
}

// settle records what was used as an event with the reservation's id, and gives back what was held, once however often it is
// sent. A reservation that was released or has expired is settled late.
func settle(c *call) (any, error) {
	var s budget.Settlement
	err := c.object(func(name string, value json.RawMessage) error {
		switch name {
		case "used":
			return readAmounts(name, value, &s.Amounts)
		case "resource":
			return jsonread.Text(name, value, &s.Resource)
		case "labels":
			return jsonread.Texts(name, value, &s.Labels)
		case "time":
			return jsonread.Time(name, value, &s.Time)
		default:
			return jsonread.UnknownMember(name)
		}
	})
	if err == nil && s.Amounts == (usage.Amounts{}) {
		err = invalid.Field("used", "must say what was used")
	}
	err = errors.Join(err, within("used", s.Validate()))
	key, err := c.reservation(err)
	if err != nil {
		return nil, err
	}
	result, err := c.ledger.Settle(c.Context(), key, s)
	if err != nil {
		return nil, reservationError(err)
	}
	return struct {
		ID     string         `json:"id"`
		Tenant *string        `json:"tenant"`
		Status budget.Outcome `json:"status"`
		Late   bool           `json:"late"`
	}{result.ID, optionalText(key.Tenant), result.Outcome, result.Late}, nil
}

// reservation returns which reservation the caller may read, settle, release or extend. err is what was wrong with the body.
func (c *call) reservation(err error) (budget.ReservationKey, error) {
	key, keyErr := c.reservationKey()
	if errors.Is(keyErr, budget.ErrInvalid) {
		err = errors.Join(keyErr, err)
	}
	if err == nil {
		err = c.needs(access.RecordUsage)
	}
	if err == nil {
		err = keyErr
	}
	if err == nil && c.Method == http.MethodPost {
		_, err = c.claim()
	}
	return key, err
}

// release gives back what a reservation holds, nothing having been used. What was released, or has expired, may be released
// again.
func release(c *call) (any, error) {
	var err error
	if len(c.body) > 0 {
		err = c.object(func(name string, _ json.RawMessage) error { return jsonread.UnknownMember(name) })
	}
	key, err := c.reservation(err)
	if err == nil {
		err = c.ledger.Release(c.Context(), key)
	}
	if err != nil {
		return nil, reservationError(err)
	}
	return struct {
		ID     string  `json:"id"`
		Tenant *string `json:"tenant"`
		State  string  `json:"state"`
	}{key.ID, optionalText(key.Tenant), stateNames[budget.Released]}, nil
}

// extend makes a reservation hold its room for so long from now, and never for less than without. One that has expired is asked
// for anew, and may be refused.
func extend(c *call) (any, error) {
	var ttl time.Duration
	var err error
	if len(c.body) > 0 {
		err = c.object(func(name string, value json.RawMessage) error {
			if name == "ttl_seconds" {
				return readSeconds(name, value, &ttl)
			}
			return jsonread.UnknownMember(name)
		})
	}
	key, err := c.reservation(err)
	if err != nil {
		return nil, err
	}
	expires, err := c.ledger.Extend(c.Context(), key, ttl)
	if err != nil {
		return nil, reservationError(c.refused(err))
	}
	return newReceipt(key, expires), nil
}

var stateNames = map[budget.ReservationState]string{
	budget.Open: "open", budget.Released: "released", budget.Expired: "expired",
}

// reservationJSON is a reservation as it is written.
type reservationJSON struct {
	ID       string            `json:"id"`
	Tenant   *string           `json:"tenant"`
	User     *string           `json:"user"`
	APIKey   *string           `json:"api_key"`
	Resource *string           `json:"resource"`
	Labels   map[string]string `json:"labels"`
	State    string            `json:"state"`
	Made     time.Time         `json:"created_at"`
	Expires  time.Time         `json:"expires_at"`
	Estimate usage.Totals      `json:"estimate"`
	Holds    []holdJSON        `json:"holds"`
}

// holdJSON is what a reservation holds of one budget.
type holdJSON struct {
	Budget      string       `json:"budget"`
	Name        string       `json:"name"`
	Value       budget.Value `json:"value"`
	Metric      usage.Metric `json:"metric"`
	PeriodStart time.Time    `json:"period_start"`
	Amount      number       `json:"amount"`
}

// writeReservations returns reservations as they are written, each with what it holds of the budgets that the caller sees.
func (c *call) writeReservations(found []budget.StoredReservation) ([]reservationJSON, error) {
	held := make(map[string]bool)
	for _, r := range found {
		for _, h := range r.Holds {
			held[h.Budget] = true
		}
	}
	seen, err := c.seenAmong(slices.Collect(maps.Keys(held)))
	if err != nil {
		return nil, err
	}
	written := make([]reservationJSON, len(found))
	for i, r := range found {
		written[i] = reservationJSON{
			ID: r.ID, Tenant: optionalText(r.Tenant), User: optionalText(r.User), APIKey: optionalText(r.APIKey),
			Resource: optionalText(r.Resource), Labels: orEmpty(r.Labels), State: stateNames[r.State],
			Made: r.Time, Expires: r.Expires, Estimate: r.Estimate, Holds: []holdJSON{},
		}
		for _, h := range r.Holds {
			b, ok := seen[h.Budget]
			if !ok {
				continue
			}
			value, err := budget.ParseValue(h.Value)
			if err != nil {
				return nil, err
			}
			written[i].Holds = append(written[i].Holds, holdJSON{
				Budget: b.ID, Name: b.Name, Value: value, Metric: b.Metric,
				PeriodStart: time.UnixMicro(h.Start).UTC(), Amount: number(b.Metric.Decimal(h.Units)),
			})
		}
	}
	return written, nil
}

// getReservation answers with a reservation that is open, or that was released or has expired within the last 30 days. One that
// was settled is an event, and no reservation any more.
func getReservation(c *call) (any, error) {
	key, err := c.reservation(nil)
	if err != nil {
		return nil, err
	}
	found, err := c.ledger.Reservations(c.Context(), budget.ReservationQuery{Keys: []budget.ReservationKey{key}})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNoReservation
	}
	written, err := c.writeReservations(found)
	if err != nil {
		return nil, err
	}
	return written[0], nil
}

// listReservations answers with reservations by tenant and id, a page at a time.
func listReservations(c *call) (any, error) {
	q, err := c.reservationQuery()
	if err == nil {
		err = c.needs(access.RecordUsage)
	}
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	q.Limit++ // one more says whether there is a next page
	found, err := c.ledger.Reservations(c.Context(), q)
	if err != nil {
		return nil, err
	}
	var next *string
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		next = cursor{ID: last.ID, Of: last.Tenant}.next()
	}
	written, err := c.writeReservations(found)
	return struct {
		Reservations []reservationJSON `json:"reservations"`
		Next         *string           `json:"next"`
	}{written, next}, err
}

func (c *call) reservationQuery() (q budget.ReservationQuery, err error) {
	tenant, tenantErr := c.text("tenant")
	var budgetErr, limitErr, flagErr, stateErr, afterErr error
	q.Budget, budgetErr = c.text("budget")
	q.Limit, limitErr = c.number("limit", defaultPage, 1, maxPage)
	var overdue *bool
	overdue, flagErr = c.flag("overdue")
	q.Overdue = overdue != nil && *overdue
	q.States, stateErr = c.states()
	var after *cursor
	if after, afterErr = c.after(); after != nil {
		q.After = &budget.ReservationKey{Tenant: after.Of, ID: after.ID}
	}
	if err := errors.Join(tenantErr, budgetErr, limitErr, flagErr, stateErr, afterErr); err != nil {
		return q, err
	}
	if c.ownTenant(&tenant) != nil {
		return q, notFound("Tenant not found")
	}
	if _, named := c.param("tenant"); named || !c.caller.Platform() {
		q.Tenant = &tenant
	}
	return q, nil
}

func (c *call) states() ([]budget.ReservationState, error) {
	name, ok := c.param("state")
	if !ok {
		return nil, nil
	}
	for state, its := range stateNames {
		if its == name {
			return []budget.ReservationState{state}, nil
		}
	}
	return nil, invalid.Field("state", "must be one of %v", slices.Sorted(maps.Values(stateNames)))
}
