package pgstore

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// literals returns n rows as one array literal per column, which every driver can send, as it is text.
func literals(columns, n int, row func(i int) []any) []any {
	arrays := make([]strings.Builder, columns)
	for i := range n {
		for column, value := range row(i) {
			b := &arrays[column]
			b.WriteByte(separator(i))
			writeElement(b, value)
		}
	}
	args := make([]any, columns)
	for column := range arrays {
		if n == 0 {
			arrays[column].WriteByte('{')
		}
		arrays[column].WriteByte('}')
		args[column] = arrays[column].String()
	}
	return args
}

func separator(i int) byte {
	if i == 0 {
		return '{'
	}
	return ','
}

func writeElement(b *strings.Builder, value any) {
	switch v := value.(type) {
	case int64:
		var digits [20]byte
		b.Write(strconv.AppendInt(digits[:0], v, 10))
	case string:
		writeQuoted(b, v)
	case []byte:
		b.WriteString(`"\\x`)
		b.WriteString(hex.EncodeToString(v))
		b.WriteByte('"')
	default:
		panic(fmt.Sprintf("pgstore: a %T in an array", value))
	}
}

func writeQuoted(b *strings.Builder, s string) {
	b.WriteByte('"')
	for {
		i := strings.IndexAny(s, `"\`)
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		b.WriteByte('\\')
		b.WriteByte(s[i])
		s = s[i+1:]
	}
	b.WriteString(s)
	b.WriteByte('"')
}
