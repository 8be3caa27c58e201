package sqlitestore

import (
	"fmt"
	"strings"

	"github.com/purser-go/purser/store/internal/bunstore"
)

// inserts are the texts of one INSERT for some numbers of rows. Many rows in one statement cost a third of one by one, and
// few different statements are few to prepare.
type inserts[R any] struct {
	columns []bunstore.Column[R]
	texts   [len(sizes)]string
}

// sizes are the numbers of rows that one statement has. Three is how many sums of usage an event goes into.
var sizes = [...]int{1, 2, 3, 4, 8, 16, 32, 64}

// newInserts returns an INSERT into table t; conflict is what becomes of rows whose key is taken.
func newInserts[R any](table string, columns []bunstore.Column[R], conflict string) inserts[R] {
	row := "(" + repeated("?", len(columns)) + ")"
	s := inserts[R]{columns: columns}
	for i, n := range sizes {
		s.texts[i] = fmt.Sprintf("INSERT INTO %s AS t (%s) VALUES %s %s", table, bunstore.Names(columns), repeated(row, n), conflict)
	}
	return s
}

func repeated(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+", ", n), ", ") }

// each calls do with statements and their arguments until all rows are covered.
func (s *inserts[R]) each(rows []R, do func(statement string, args []any) error) error {
	for i := len(sizes) - 1; len(rows) > 0; {
		n := sizes[i]
		if n > len(rows) {
			i--
			continue
		}
		if err := do(s.texts[i], s.args(rows[:n])); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (s *inserts[R]) args(rows []R) []any {
	args := make([]any, 0, len(rows)*len(s.columns))
	for row := range rows {
		for column := range s.columns {
			args = append(args, s.columns[column].Value(&rows[row]))
		}
	}
	return args
}
