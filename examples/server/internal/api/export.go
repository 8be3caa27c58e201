package api

import (
	"errors"
	"io"
	"iter"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/export"
)

func (a *API) exportRoutes() []Route {
	return []Route{
		{Method: http.MethodGet, Path: "/api/v1/export", handle: exportUsage, streams: true},
	}
}

// The media types of exports.
const (
	csvType   = "text/csv"
	linesType = "application/x-ndjson"
)

// exportUsage writes lines of usage for other programs, whatever their number: as CSV, JSON lines, or CSV in the shape of
// FOCUS. format (csv, jsonl or focus) says as which, without it the header Accept, without that it is CSV. The lines are as
// usageQuery says, by default by month and all dimensions. In CSV an apostrophe stands before a name that a spreadsheet would
// take for a formula. For FOCUS provider, account and service are names to write. If reading fails midway, the connection is
// broken off, so that nobody takes what came for all.
func exportUsage(c *call) (any, error) {
	format, err := c.format()
	if err != nil {
		return nil, err
	}
	q, err := c.usageQuery()
	if err != nil {
		return nil, err
	}
	if q.By == nil {
		q.By = []usage.Dimension{usage.Tenant, usage.User, usage.APIKey, usage.Resource}
	}
	if q.Bucket == "" {
		q.Bucket = usage.Month
	}
	focus, err := c.focusOptions()
	if err != nil {
		return nil, err
	}
	focus.Zone = q.Zone
	if err := c.readsUsage(q.Where); err != nil {
		return nil, err
	}
	lines, stop, err := begun(c.ledger.Groups(c.Context(), q))
	if err != nil {
		return nil, err
	}
	s := &stream{contentType: csvType + "; charset=utf-8; header=present", file: "usage.csv", close: stop}
	switch format {
	case "csv":
		s.write = func(w io.Writer) error { return export.CSV(w, lines) }
	case "jsonl":
		s.contentType, s.file = linesType, "usage.jsonl"
		s.write = func(w io.Writer) error { return export.JSONLines(w, lines) }
	case "focus":
		s.file = "usage-focus.csv"
		s.write = func(w io.Writer) error { return export.FOCUS(w, lines, &focus) }
	}
	return s, nil
}

func (c *call) focusOptions() (o export.FOCUSOptions, err error) {
	var errs [3]error
	o.Provider, errs[0] = c.text("provider")
	o.Account, errs[1] = c.text("account")
	o.Service, errs[2] = c.text("service")
	return o, errors.Join(errs[:]...)
}

// begun reads the first line, so that what is wrong with a query is known before anything is written.
func begun(lines export.Lines) (export.Lines, func(), error) {
	next, stop := iter.Pull2(lines)
	first, err, ok := next()
	if err != nil {
		stop()
		return nil, nil, err
	}
	return func(yield func(usage.Line, error) bool) {
		for line := first; ok; line, err, ok = next() {
			if !yield(line, err) {
				return
			}
		}
	}, stop, nil
}

// format returns the format of an export.
func (c *call) format() (string, error) {
	if format, ok := c.param("format"); ok {
		switch format {
		case "csv", "jsonl", "focus":
			return format, nil
		}
		return "", invalid.Field("format", "must be csv, jsonl or focus")
	}
	accept := strings.Join(c.Header.Values("Accept"), ",")
	if accept == "" {
		return "csv", nil
	}
	lines, comma := quality(accept, linesType, "application/jsonl"), quality(accept, csvType)
	switch {
	case lines == 0 && comma == 0:
		return "", &Problem{Status: http.StatusNotAcceptable, Detail: "There are " + csvType + " and " + linesType + "."}
	case lines > comma:
		return "jsonl", nil
	default:
		return "csv", nil
	}
}

// quality returns how much a header Accept wants one of these media types, from 0 to 1. The range that says most of a type
// decides (RFC 9110, 12.5.1).
func quality(accept string, types ...string) (best float64) {
	for _, wanted := range types {
		kind, _, _ := strings.Cut(wanted, "/")
		rank := map[string]int{"*/*": 1, kind + "/*": 2, wanted: 3}
		found, of := 0.0, 0
		for part := range strings.SplitSeq(accept, ",") {
			name, parameters, err := mime.ParseMediaType(part)
			if err != nil || rank[name] <= of {
				continue
			}
			found, of = 1, rank[name]
			if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil && q >= 0 && q <= 1 {
				found = q
			}
		}
		best = max(best, found)
	}
	return best
}
