package pgstore

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/purser-go/purser/store/internal/bunstore"
)

// arrays returns rows as one array literal per column. A literal is text, which every driver can send.
func arrays[R any](columns []bunstore.Column[R], rows []R) []any {
	args := make([]any, len(columns))
	var b []byte // for all columns, so that it grows once
	for i := range columns {
		b = append(b[:0], '{')
		for row := range rows {
			if row > 0 {
				b = append(b, ',')
			}
			b = appendElement(b, &columns[i], &rows[row])
		}
		args[i] = string(append(b, '}'))
	}
	return args
}

func appendElement[R any](b []byte, column *bunstore.Column[R], row *R) []byte {
	switch column.Type {
	case bunstore.Text:
		return appendQuoted(b, column.Text(row))
	case bunstore.Integer:
		return strconv.AppendInt(b, column.Integer(row), 10)
	case bunstore.Boolean:
		return strconv.AppendBool(b, column.Boolean(row))
	default:
		b = append(b, `"\\x`...)
		return append(hex.AppendEncode(b, column.Bytes(row)), '"')
	}
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for {
		i := strings.IndexAny(s, `"\`)
		if i < 0 {
			return append(append(b, s...), '"')
		}
		b = append(append(b, s[:i]...), '\\', s[i])
		s = s[i+1:]
	}
}

// lists is arrays for rows of texts and integers.
func lists(columns int, rows [][]any) []any {
	args := make([]any, columns)
	for i := range columns {
		b := []byte{'{'}
		for row := range rows {
			if row > 0 {
				b = append(b, ',')
			}
			switch value := rows[row][i].(type) {
			case string:
				b = appendQuoted(b, value)
			case int64:
				b = strconv.AppendInt(b, value, 10)
			default:
				panic(fmt.Sprintf("pgstore: a %T in a list", value))
			}
		}
		args[i] = string(append(b, '}'))
	}
	return args
}
