package api

import (
	"encoding/json"
	"slices"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
)

// sees returns a function that says of each of these budgets whether the caller may know of it.
func (c *call) sees(ids []string) (func(id string) bool, error) {
	if c.seesAll() {
		return func(string) bool { return true }, nil
	}
	seen, err := c.seenAmong(ids)
	return func(id string) bool { _, ok := seen[id]; return ok }, err
}

// seesAll reports whether there is no budget that the caller may not know of.
func (c *call) seesAll() bool { return c.caller.Platform() && c.caller.May(access.Read) }

// seenAmong returns those of these budgets that there are and that the caller may know of, by id.
func (c *call) seenAmong(ids []string) (map[string]budget.Budget, error) {
	seen := make(map[string]budget.Budget)
	if len(ids) == 0 {
		return seen, nil
	}
	page, err := c.ledger.List(c.Context(), budget.Query{IDs: ids, Limit: len(ids)})
	for _, row := range page.Rows {
		if c.caller.Sees(&row.Budget) {
			seen[row.Budget.ID] = row.Budget
		}
	}
	return seen, err
}

// members are the members of an object.
type members map[string]any

// told returns the members of what v is written as: all of them if what it is about is seen, else only these.
func told(v any, seen bool, only ...string) members {
	var written map[string]json.RawMessage
	if err := json.Unmarshal(mustMarshal(v), &written); err != nil {
		panic("purser: what was written can't be read: " + err.Error())
	}
	m := make(members, len(written))
	for name, value := range written {
		if seen || slices.Contains(only, name) {
			m[name] = value
		}
	}
	return m
}
