package backtest

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/purser-go/purser/examples/internal/intake"
	"github.com/purser-go/purser/usage"
)

// columns are those that a file has, in any order and among others.
var columns = []string{"series", "hour", "amount"}

// Read reads series from CSV with a header that names the columns series, hour and amount, in upper or lower case, and returns
// them in the order of their first rows. An hour is an instant within it, as [intake.ParseTime] reads it, also without
// seconds or minutes; hours may come in any order, and rows of the same hour add up. An amount is a number that is not negative, of whatever is counted. Only how amounts of a series
// compare is kept, so that they may be as large or small as they like: all of one add up to a million. A series without a
// name is one too. The error says in which line the first bad row is.
func Read(r io.Reader) ([]Series, error) {
	text := bufio.NewReader(r)
	if mark, err := text.Peek(len(byteOrderMark)); err == nil && string(mark) == byteOrderMark {
		_, _ = text.Discard(len(byteOrderMark)) // which were just peeked at
	}
	rows := csv.NewReader(text)
	rows.ReuseRecord, rows.TrimLeadingSpace = true, true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("has no header: want series,hour,amount")
	}
	if err != nil {
		return nil, err
	}
	at, err := places(header)
	if err != nil {
		return nil, err
	}
	var all []*reading
	named := make(map[string]*reading)
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name := row[at[0]]
		if named[name] == nil {
			named[name] = &reading{name: strings.Clone(name)}
			all = append(all, named[name])
		}
		if err := named[name].add(row[at[1]], row[at[2]]); err != nil {
			line, _ := rows.FieldPos(at[1])
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	series := make([]Series, len(all))
	for i, s := range all {
		series[i] = s.series()
	}
	return series, nil
}

// places returns where the columns are.
func places(header []string) (at [3]int, err error) {
	for i, name := range columns {
		at[i] = slices.IndexFunc(header, func(column string) bool { return strings.EqualFold(strings.TrimSpace(column), name) })
		if at[i] < 0 {
			return at, fmt.Errorf("has no column %s: want %s", name, strings.Join(columns, ","))
		}
	}
	return at, nil
}

// A reading is a series on its way out of a file.
type reading struct {
	name  string
	hours []hourAmount
	total float64
}

type hourAmount struct {
	start  time.Time
	amount float64
}

func (r *reading) add(hour, amount string) error {
	start, err := parseHour(strings.TrimSpace(hour))
	if err != nil {
		return fmt.Errorf("hour: %q must be a time such as 2026-03-01T09:00:00Z", hour)
	}
	if start.Before(usage.MinTime) || !start.Before(usage.EndTime) {
		return fmt.Errorf("hour: %s must be from 1980 to 2199", hour)
	}
	d, err := usage.ParseDecimal(strings.TrimSpace(amount))
	if err != nil {
		return fmt.Errorf("amount: %w", err)
	}
	if d.IsNegative() {
		return errors.New("amount: must not be negative")
	}
	n := d.InexactFloat64()
	r.total += n
	r.hours = append(r.hours, hourAmount{start.UTC(), n})
	return nil
}

// parseHour reads a time that may lack its seconds, or its minutes too.
func parseHour(text string) (time.Time, error) {
	const hour, minute = len("2026-03-01T09"), len("2026-03-01T09:00")
	if n := len(text); n >= hour {
		clock, offset := text[:hour]+":00", text[hour:]
		if n >= minute && text[hour] == ':' {
			clock, offset = text[:minute], text[minute:]
		}
		if offset == "" || strings.ContainsAny(offset[:1], "Z+-") {
			text = clock + ":00" + offset
		}
	}
	return intake.ParseTime(text)
}

// whole is what all of a series adds up to, in billionths.
const whole = 1e15

const byteOrderMark = "\ufeff"

func (r *reading) series() Series {
	slices.SortStableFunc(r.hours, func(a, b hourAmount) int { return a.start.Compare(b.start) })
	s := Series{Name: r.name, Hours: make([]usage.HourUse, len(r.hours))}
	for i, h := range r.hours {
		s.Hours[i].Start = h.start
		if r.total > 0 {
			s.Hours[i].Units = int64(math.Round(h.amount / r.total * whole))
		}
	}
	return s
}
