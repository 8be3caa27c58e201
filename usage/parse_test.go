package usage_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/purser-go/purser/usage"
)

func TestParseDecimal(t *testing.T) {
	tests := map[string]string{ // what it is written as again
		"0": "0", "-0": "0", "12": "12", "-12.50": "-12.5", "0.1": "0.1", "1e3": "1000", "1E+3": "1000", "125e-2": "1.25",
		"0.000000001": "0.000000001", "1e64": "1" + strings.Repeat("0", 64), "1e-64": "0." + strings.Repeat("0", 63) + "1",
		"9223372036.854775807": "9223372036.854775807", strings.Repeat("9", 64): strings.Repeat("9", 64),
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := usage.ParseDecimal(text)
			if err != nil || got.String() != want {
				t.Errorf("ParseDecimal(%q) = %v, %v, want %s", text, got, err, want)
			}
		})
	}
}

func TestParseDecimalRefuses(t *testing.T) {
	tests := map[string]string{
		"nothing":                           "",
		"a space before":                    " 12",
		"a space behind":                    "12 ",
		"a line break behind":               "12\n",
		"an underscore":                     "1_0",
		"a comma":                           "1,5",
		"a plus sign":                       "+1",
		"two signs":                         "--1",
		"a sign alone":                      "-",
		"a Unicode minus sign":              "\u22121",
		"no digit before the point":         ".5",
		"no digit behind the point":         "5.",
		"a zero in front":                   "007",
		"hexadecimal":                       "0x1",
		"other digits":                      "\u0661",
		"NaN":                               "NaN",
		"infinity":                          "Infinity",
		"minus infinity":                    "-Inf",
		"an exponent without digits":        "1e",
		"an exponent that is not whole":     "1e0.5",
		"two exponents":                     "1e1e1",
		"an exponent that is too high":      "1e65",
		"an exponent that is too low":       "1e-65",
		"an exponent of a thousand":         "1e999",
		"an exponent of a thousand million": "1e999999999",
		"an exponent that does not fit":     "1e99999999999999999999",
		"one digit too many":                strings.Repeat("9", 65),
		"a million digits":                  strings.Repeat("9", 1_000_000),
		"zero bytes":                        "1\x00",
		"a word":                            "true",
		"a string":                          `"1"`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := usage.ParseDecimal(text); !errors.Is(err, usage.ErrInvalid) {
				t.Errorf("ParseDecimal(%.70q) = %v, %v, want ErrInvalid", text, got, err)
			}
		})
	}
}

func TestParseJSONDecimal(t *testing.T) {
	for _, value := range []string{`12.5`, `"12.5"`, `"\u0031\u0032.5"`, `1250e-2`} {
		if got, err := usage.ParseJSONDecimal([]byte(value)); err != nil || !got.Equal(dec("12.5")) {
			t.Errorf("ParseJSONDecimal(%s) = %v, %v, want 12.5", value, got, err)
		}
	}
	for _, value := range []string{``, `null`, `true`, `[1]`, `{}`, `""`, `" 12"`, `"1_0"`, `"NaN"`, `"12`, `"12"x`, `1 2`} {
		if got, err := usage.ParseJSONDecimal([]byte(value)); !errors.Is(err, usage.ErrInvalid) {
			t.Errorf("ParseJSONDecimal(%s) = %v, %v, want ErrInvalid", value, got, err)
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"0", "-12.50", "1e3", "1e-64", "1e999999999", "+1", " 1", "1_0", "NaN", "0x1p-2", "\u22121", "-.5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := usage.ParseDecimal(text)
		if err != nil {
			if !errors.Is(err, usage.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		var number json.Number
		if json.Unmarshal([]byte(text), &number) != nil || number.String() != text {
			t.Fatalf("%q is no JSON number", text)
		}
		written := d.String()
		if strings.ContainsAny(written, "eE+") || strings.Contains(written, ".") && strings.HasSuffix(written, "0") {
			t.Errorf("%q is written as %s", text, written)
		}
		if again := dec(written); !again.Equal(d) {
			t.Errorf("%q is %s and then %v", text, written, again)
		}
	})
}
