package sqlitestore

import (
	"fmt"
	"strings"

	"github.com/purser-go/purser/store/internal/bunstore"
)

// inserts are the texts of one INSERT for 1, 2, 4 … 64 rows. Many rows in one statement cost a third of one by one, and
// few different statements are few to prepare.
type inserts[R any] struct {
	columns []bunstore.Column[R]
	texts   [7]string
}

// newInserts returns an INSERT into table t; conflict is what becomes of rows whose key is taken.
func newInserts[R any](table string, columns []bunstore.Column[R], conflict string) inserts[R] {
	row := "(" + repeated("?", len(columns)) + ")"
	s := inserts[R]{columns: columns}
	for i := range s.texts {
		s.texts[i] = fmt.Sprintf("INSERT INTO %s AS t (%s) VALUES %s %s", table, bunstore.Names(columns), repeated(row, 1<<i), conflict)
	}
	return s
}

func repeated(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+", ", n), ", ") }

// each calls do with statements and their arguments until all rows are covered.
func (s *inserts[R]) each(rows []R, do func(statement string, args []any) error) error {
	for size := len(s.texts) - 1; len(rows) > 0; {
		if n := 1 << size; n > len(rows) {
			size--
			continue
		}
		if err := do(s.texts[size], s.args(rows[:1<<size])); err != nil {
			return err
		}
		rows = rows[1<<size:]
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
