package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/usage"
	"github.com/purser-go/purser/usage/export"
)

var march = period.Bounds{
	Start: time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, time.April, 1, 0, 0, 0, 0, time.UTC),
}

func sample() usage.Line {
	return usage.Line{
		Bounds:  march,
		Subject: usage.Subject{Tenant: "acme", User: `Ann "A", B`, APIKey: "k1", Resource: "model-a"},
		Totals: usage.Totals{
			InputTokens: 1, OutputTokens: 2, CacheCreationTokens: 3, CacheReadTokens: 4, TotalTokens: 10, Requests: 5, Runs: 6,
			Nanodollars: 9_223_372_036_854_775_807,
		},
	}
}

func of(lines ...usage.Line) export.Lines {
	return func(yield func(usage.Line, error) bool) {
		for _, line := range lines {
			if !yield(line, nil) {
				return
			}
		}
	}
}

func written(t *testing.T, write func(io.Writer, export.Lines) error, lines export.Lines) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, lines); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func focus(w io.Writer, lines export.Lines) error { return export.FOCUS(w, lines, nil) }

func TestCSV(t *testing.T) {
	t.Parallel()
	want := "start,end,tenant,user,api_key,resource,input_tokens,output_tokens,cache_creation_tokens,cache_read_tokens,total_tokens,requests,runs,cost\n" +
		`2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,acme,"Ann ""A"", B",k1,model-a,1,2,3,4,10,5,6,9223372036.854775807` + "\n" +
		"2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,,,,,0,0,0,0,0,0,0,0\n"
	if diff := cmp.Diff(want, written(t, export.CSV, of(sample(), usage.Line{Bounds: march}))); diff != "" {
		t.Errorf("CSV (-want +got):\n%s", diff)
	}
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	want := `{"start":"2026-03-01T00:00:00Z","end":"2026-04-01T00:00:00Z","tenant":"acme","user":"Ann \"A\", B","api_key":"k1","resource":"model-a",` +
		`"input_tokens":1,"output_tokens":2,"cache_read_tokens":4,"cache_creation_tokens":3,"total_tokens":10,"requests":5,"runs":6,"cost":9223372036.854775807}` + "\n" +
		`{"start":"2026-03-01T00:00:00Z","end":"2026-04-01T00:00:00Z","input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,` +
		`"total_tokens":0,"requests":0,"runs":0,"cost":0}` + "\n"
	if diff := cmp.Diff(want, written(t, export.JSONLines, of(sample(), usage.Line{Bounds: march}))); diff != "" {
		t.Errorf("JSON lines (-want +got):\n%s", diff)
	}
}

// records reads CSV into a map for each row.
func records(t *testing.T, text string) []map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var found []map[string]string
	for _, row := range rows[1:] {
		record := make(map[string]string)
		for i, name := range rows[0] {
			record[name] = row[i]
		}
		found = append(found, record)
	}
	return found
}

func TestFOCUS(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	line := sample()
	line.Start = line.Start.Add(-30 * time.Minute) // which is in March in Berlin
	o := &export.FOCUSOptions{Provider: "Gateway", Account: "platform", Service: "Models", Zone: berlin}
	text := written(t, func(w io.Writer, lines export.Lines) error { return export.FOCUS(w, lines, o) }, of(line))
	want := map[string]string{
		"BillingAccountId": "platform", "BillingAccountName": "platform", "BillingCurrency": "USD",
		"BillingPeriodStart": "2026-02-28T23:00:00Z", "BillingPeriodEnd": "2026-03-31T22:00:00Z",
		"ChargePeriodStart": "2026-02-28T23:30:00Z", "ChargePeriodEnd": "2026-04-01T00:00:00Z",
		"ChargeCategory": "Usage", "ChargeClass": "", "ChargeDescription": "Metered usage", "ChargeFrequency": "Usage-Based",
		"BilledCost": "9223372036.854775807", "EffectiveCost": "9223372036.854775807",
		"ListCost": "9223372036.854775807", "ContractedCost": "9223372036.854775807",
		"ConsumedQuantity": "10", "ConsumedUnit": "Tokens",
		"InvoiceIssuerName": "Gateway", "ServiceProviderName": "Gateway",
		"ServiceCategory": "AI and Machine Learning", "ServiceSubcategory": "Generative AI", "ServiceName": "Models",
		"ResourceId": "model-a", "ResourceName": "model-a", "SubAccountId": "acme", "SubAccountName": "acme",
		"Tags":          `{"api_key":"k1","user":"Ann \"A\", B"}`,
		"x_InputTokens": "1", "x_OutputTokens": "2", "x_CacheCreationTokens": "3", "x_CacheReadTokens": "4", "x_Requests": "5", "x_Runs": "6",
	}
	if diff := cmp.Diff([]map[string]string{want}, records(t, text)); diff != "" {
		t.Errorf("FOCUS (-want +got):\n%s", diff)
	}
	bare := records(t, written(t, focus, of(usage.Line{Bounds: march, Totals: usage.Totals{Requests: 3}})))[0]
	for name, want := range map[string]string{
		"BillingAccountId": "Purser", "ServiceProviderName": "Purser", "ServiceName": "Model usage", "Tags": "{}",
		"ConsumedQuantity": "3", "ConsumedUnit": "Requests", "BillingPeriodStart": "2026-03-01T00:00:00Z",
	} {
		if bare[name] != want {
			t.Errorf("%s is %q, want %q", name, bare[name], want)
		}
	}
}

func TestNoNameBeginsAFormula(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"acme": "acme", "a=b": "a=b", "a-b": "a-b", "a@b.example": "a@b.example", "": "", "'": "'", "7": "7",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "＝1": "'＝1", `"=1"`: `"'=1"`, "  =1": "  '=1",
		"a;=1": "a;'=1", "a, =1": "a, '=1", "a|@b": "a|'@b", "\u00a0=1": "\u00a0'=1", "\u200b\ufeff=1": "\u200b\ufeff'=1", "=-=": "'=-=", `=HYPERLINK("x")`: `'=HYPERLINK("x")`,
	} {
		for format, write := range map[string]func(io.Writer, export.Lines) error{"CSV": export.CSV, "FOCUS": focus} {
			line := usage.Line{Bounds: march, Subject: usage.Subject{Tenant: name, User: name, APIKey: name, Resource: name}}
			record := records(t, written(t, write, of(line)))[0]
			for _, column := range []string{"tenant", "user", "api_key", "resource", "SubAccountId", "SubAccountName", "ResourceId", "ResourceName"} {
				if got, there := record[column]; there && got != want {
					t.Errorf("%s of %s is %q, want %q", column, format, got, want)
				}
			}
		}
		o := &export.FOCUSOptions{Provider: "x" + name, Account: name, Service: name}
		record := records(t, written(t, func(w io.Writer, lines export.Lines) error { return export.FOCUS(w, lines, o) }, of(usage.Line{})))[0]
		if name != "" && (record["BillingAccountId"] != want || record["ServiceName"] != want) {
			t.Errorf("account %q and service %q, want %q", record["BillingAccountId"], record["ServiceName"], want)
		}
	}
}

var errLost = errors.New("lost")

// The first lines stay, and the error is told, whether it is of the lines or of writing.
func TestErrorsEndAnExport(t *testing.T) {
	t.Parallel()
	broken := func(yield func(usage.Line, error) bool) {
		if yield(sample(), nil) {
			yield(usage.Line{}, errLost)
		}
	}
	for name, write := range map[string]func(io.Writer, export.Lines) error{"CSV": export.CSV, "FOCUS": focus, "JSON lines": export.JSONLines} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b, broken); !errors.Is(err, errLost) {
				t.Errorf("error of the lines: %v", err)
			}
			if !strings.Contains(b.String(), "acme") {
				t.Errorf("the line before it is not there: %q", b.String())
			}
			many := make([]usage.Line, 1000)
			for i := range many {
				many[i] = sample()
			}
			if err := write(full{}, of(many...)); !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("error of writing many: %v", err)
			}
			if err := write(full{}, of(sample())); !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("error of writing few: %v", err)
			}
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// An export holds no more in memory when it is long.
func TestExportsStream(t *testing.T) {
	const n = 100_000
	for name, write := range map[string]func(io.Writer, export.Lines) error{"CSV": export.CSV, "FOCUS": focus, "JSON lines": export.JSONLines} {
		t.Run(name, func(t *testing.T) {
			most := uint64(0)
			lines := func(yield func(usage.Line, error) bool) {
				for i := range n {
					if i%(n/4) == 0 {
						runtime.GC()
						var stats runtime.MemStats
						runtime.ReadMemStats(&stats)
						most = max(most, stats.HeapAlloc)
					}
					if !yield(sample(), nil) {
						return
					}
				}
			}
			written := counter(0)
			if err := write(&written, lines); err != nil {
				t.Fatal(err)
			}
			if written < 10_000_000 || most > 8<<20 {
				t.Errorf("%d bytes were written with %d in memory", written, most)
			}
		})
	}
}

type counter int64

func (c *counter) Write(text []byte) (int, error) {
	*c += counter(len(text))
	return len(text), nil
}

func ExampleCSV() {
	lines := of(usage.Line{
		Bounds:  march,
		Subject: usage.Subject{Tenant: "=acme"},
		Totals:  usage.Totals{Requests: 2, Nanodollars: 500_000_001},
	})
	var b strings.Builder
	if err := export.CSV(&b, lines); err != nil {
		fmt.Println(err)
	}
	_, rows, _ := strings.Cut(b.String(), "\n")
	fmt.Print(rows)
	// Output:
	// 2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,'=acme,,,,0,0,0,0,0,2,0,0.500000001
}

func FuzzCSV(f *testing.F) {
	f.Add("acme", "=1")
	f.Fuzz(func(t *testing.T, tenant, user string) {
		line := usage.Line{Bounds: march, Subject: usage.Subject{Tenant: tenant, User: user}}
		if line.Validate() != nil {
			t.Skip()
		}
		record := records(t, written(t, export.CSV, of(line)))[0]
		for name, value := range map[string]string{"tenant": tenant, "user": user} {
			got := record[name]
			if strings.ReplaceAll(got, "'", "") != strings.ReplaceAll(value, "'", "") {
				t.Errorf("%q is written as %q", value, got)
			}
			if got != "" && strings.ContainsAny(strings.TrimLeft(got, ` "`)[:min(1, len(strings.TrimLeft(got, ` "`)))], "=+-@") {
				t.Errorf("%q is written as %q, which begins a formula", value, got)
			}
		}
		var read map[string]any
		if err := json.Unmarshal([]byte(written(t, export.JSONLines, of(line))), &read); err != nil || tenant != "" && read["tenant"] != tenant {
			t.Errorf("%q is written as %q: %v", tenant, read["tenant"], err)
		}
	})
}
