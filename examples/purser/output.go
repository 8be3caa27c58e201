package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/shopspring/decimal"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/purser-go/purser/alert"
)

// An output keeps the first error of writing to it, since tables and help are printed by those who don't look.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(text []byte) (int, error) {
	n, err := o.Writer.Write(text)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// show prints v as JSON, or as people read it.
func (p *program) show(v any, human func(io.Writer)) error {
	if !p.json {
		human(p.stdout)
		return nil
	}
	line, err := jsonText(v)
	if err == nil {
		_, err = p.stdout.Write(line)
	}
	return err
}

// showList prints items as a JSON list while they come in, or as a table when they are all there.
func showList[T any](p *program, items iter.Seq2[T, error], t *grid, row func(T)) error {
	if !p.json {
		for item, err := range items {
			if err != nil {
				return err
			}
			row(item)
		}
		t.print(p.stdout)
		return nil
	}
	separator := "[\n"
	for item, err := range items {
		if err != nil {
			return err
		}
		line, err := jsonText(item)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(p.stdout, separator, string(bytes.TrimSpace(line))); err != nil {
			return err
		}
		separator = ",\n"
	}
	end := "\n]\n"
	if separator == "[\n" {
		end = "[]\n"
	}
	_, err := io.WriteString(p.stdout, end)
	return err
}

// list yields what a call returned that returns all at once.
func list[T any](items []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}

func jsonText(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// exact is a decimal that is written as a JSON number with its exact text.
type exact decimal.Decimal

func (n exact) MarshalJSON() ([]byte, error) { return []byte(decimal.Decimal(n).String()), nil }

// printField prints what one thing is, unless it is nothing.
func printField(w io.Writer, name, value string) {
	if value != "" {
		fmt.Fprintf(w, "%-18s %s\n", name, value)
	}
}

// A grid is a table for people.
type grid struct {
	table table.Writer
	none  string // what is printed in the place of no rows
	rows  int
}

// newGrid returns a table with these columns. A name that begins with a > is that of a column of numbers.
func newGrid(none string, columns ...string) *grid {
	g := &grid{table: table.NewWriter(), none: none}
	header := make(table.Row, len(columns))
	var configs []table.ColumnConfig
	for i, column := range columns {
		name, numbers := strings.CutPrefix(column, ">")
		header[i] = name
		if numbers {
			configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	g.table.AppendHeader(header)
	g.table.SetColumnConfigs(configs)
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	g.table.SetStyle(style)
	g.table.SuppressTrailingSpaces()
	return g
}

func (g *grid) add(cells ...any) {
	g.rows++
	g.table.AppendRow(cells)
}

// hideEmpty leaves out columns in which no row has a text.
func (g *grid) hideEmpty() { g.table.SuppressEmptyColumns() }

func (g *grid) print(w io.Writer) {
	if g.rows == 0 {
		fmt.Fprintln(w, g.none)
		return
	}
	fmt.Fprintln(w, g.table.Render())
}

var levelColours = map[alert.Level]text.Color{
	alert.OK: text.FgGreen, alert.Warning: text.FgYellow, alert.Critical: text.FgHiRed, alert.Exceeded: text.FgRed,
}

// paint colours s by a level, where there are colours.
func (p *program) paint(s string, level alert.Level) string {
	if !p.colour {
		return s
	}
	return levelColours[level].EscapeSeq() + s + text.Reset.EscapeSeq()
}

// barStyle is how bars look, of statuses as of progress.
var barStyle = mpb.BarStyle().Lbound("").Filler("█").Tip("").Padding("░").Rbound("")

// bar draws a share of 1 in so many characters, cut to whole ones, so that a full bar is a whole share or more.
func bar(share float64, width int) string {
	whole := min(max(share, 0), 1) * float64(width)
	var b strings.Builder
	_ = barStyle.Build().Fill(&b, decor.Statistics{AvailableWidth: width, Total: int64(width), Current: int64(whole)})
	return b.String()
}

// amount writes a number with a comma between thousands.
func amount(d decimal.Decimal) string {
	written := humanize.BigComma(d.Abs().BigInt())
	if _, fraction, found := strings.Cut(d.String(), "."); found {
		written += "." + fraction
	}
	if d.IsNegative() {
		written = "-" + written
	}
	return written
}

func whole(n int64) string { return humanize.Comma(n) }

// percent writes a percentage cut to one place, so that it never claims a level that was not reached.
func percent(d decimal.Decimal) string { return d.Truncate(1).StringFixed(1) + " %" }

// when writes an instant of UTC for people, as short as it goes.
func when(t time.Time) string {
	t = t.UTC()
	switch {
	case t.IsZero():
		return ""
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.Format("2006-01-02")
	case t.Equal(t.Truncate(time.Minute)):
		return t.Format("2006-01-02 15:04")
	default:
		return t.Format("2006-01-02 15:04:05")
	}
}
