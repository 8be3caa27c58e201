package usage

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

const (
	maxNumber   = 64 // bytes; parsing a megabyte of digits takes seconds
	maxExponent = 64 // 1e999999999 is short to write and does not fit into memory
)

// ParseDecimal reads a decimal number by the grammar of JSON: digits, perhaps a minus sign, a point and an exponent, such as
// 12.5 or 1e3, and nothing around them. NaN, infinities, +1, .5, 0x1 and 1_0 are not numbers. A text of more than 64 bytes
// and an exponent beyond 64 are refused before they make work. Every error unwraps to [ErrInvalid].
func ParseDecimal(s string) (decimal.Decimal, error) {
	if len(s) > maxNumber {
		return decimal.Decimal{}, numberError(fmt.Sprintf("has %d characters, a number has at most %d", len(s), maxNumber))
	}
	if !isNumber(s) {
		return decimal.Decimal{}, numberError("must be a number such as 12.5")
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(s[i+1:])
		if err != nil || exponent < -maxExponent || exponent > maxExponent {
			return decimal.Decimal{}, numberError(fmt.Sprintf("has an exponent beyond %d", maxExponent))
		}
	}
	return decimal.NewFromString(s)
}

// isNumber reports whether s is a JSON number. A JSON text that begins like a number and ends with a digit is one number
// with no space around it.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || isDigit(s[0])) && isDigit(s[len(s)-1]) && json.Valid([]byte(s))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// ParseJSONDecimal reads one JSON value: a number, or a string that holds exactly one, by the rules of [ParseDecimal]. Every
// error unwraps to [ErrInvalid].
func ParseJSONDecimal(value []byte) (decimal.Decimal, error) {
	text := string(value)
	if strings.HasPrefix(text, `"`) && json.Unmarshal(value, &text) != nil {
		return decimal.Decimal{}, numberError("must be a number such as 12.5")
	}
	return ParseDecimal(text)
}
