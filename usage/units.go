package usage

import (
	"fmt"
	"math/big"

	"github.com/shopspring/decimal"
)

// numberError refuses a number whose field is known to the caller only. It unwraps to [ErrInvalid], and its text reads well
// behind a field's name.
type numberError string

func (e numberError) Error() string { return string(e) }

func (e numberError) Unwrap() error { return ErrInvalid }

// Units returns d as a number of units of 10^-places. It is exact: a d with more places is refused with an error that
// unwraps to [ErrInvalid], one that does not fit with [ErrOverflow]. The work is small whatever d's exponent.
func Units(d decimal.Decimal, places int32) (int64, error) {
	units, exact, err := rounded(d, places)
	switch {
	case err != nil:
		return 0, err
	case exact:
		return units, nil
	case places == 0:
		return 0, numberError("must be a whole number")
	default:
		return 0, numberError(fmt.Sprintf("has more than %d decimal places", places))
	}
}

// rounded returns d as a number of units of 10^-places, half a unit rounded away from zero, and whether that is exactly d.
// Its error is [ErrOverflow].
func rounded(d decimal.Decimal, places int32) (units int64, exact bool, err error) {
	if d.IsZero() {
		return 0, true, nil
	}
	shift := int64(d.Exponent()) + int64(places)
	if units, exact, ok := roundedSmall(d, shift); ok {
		return units, exact, nil
	}
	n := d.Coefficient()
	switch {
	case shift >= int64(len(powers)):
		return 0, false, ErrOverflow
	case shift >= 0:
		n.Mul(n, power(shift))
		exact = true
	case -shift > int64(n.BitLen()/3+1):
		return 0, false, nil // 10^k > 2^3k: less than half a unit, known without computing a power as large as the exponent
	default:
		n, exact = divided(n, power(-shift))
	}
	if !n.IsInt64() {
		return 0, false, ErrOverflow
	}
	return n.Int64(), exact, nil
}

// powers holds 10^i for all that an int64 holds.
var powers = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// power returns 10^n for n >= 0.
func power(n int64) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil) }

// roundedSmall returns d's coefficient × 10^shift as rounded does, and false if it may have more than 18 digits. It does not
// allocate, and nearly all amounts of all events are that small.
func roundedSmall(d decimal.Decimal, shift int64) (units int64, exact, ok bool) {
	const most = int64(len(powers)) - 1
	digits := int64(d.NumDigits())
	switch {
	case digits > most || shift < -most || shift+digits > most:
		return 0, false, false
	case shift >= 0:
		return d.CoefficientInt64() * powers[shift], true, true
	}
	unit := powers[-shift]
	units, rest := d.CoefficientInt64()/unit, d.CoefficientInt64()%unit
	switch {
	case rest >= unit-rest:
		units++
	case -rest >= unit+rest:
		units--
	}
	return units, rest == 0, true
}

// divided returns n/d for d > 0, a half rounded away from zero, and whether that is exact.
func divided(n, d *big.Int) (q *big.Int, exact bool) {
	q, rest := new(big.Int).QuoRem(n, d, new(big.Int))
	exact = rest.Sign() == 0
	if rest.Abs(rest).Lsh(rest, 1).Cmp(d) >= 0 {
		q.Add(q, big.NewInt(int64(n.Sign())))
	}
	return q, exact
}
