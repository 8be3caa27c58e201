package alert

import (
	"errors"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/usage"
)

// Percents are computed in units of 10^-places.
const (
	places      = 9
	percentUnit = 1_000_000_000
)

const maxExtra = 20

// Thresholds are the percents of a limit at which a budget alerts, besides 100. The zero Thresholds are 80 and 90. A percent
// has at most 9 decimal places.
type Thresholds struct {
	Warning  *decimal.Decimal  // 0 to 100; nil: 80
	Critical *decimal.Decimal  // 0 to 100; nil: 90
	Extra    []decimal.Decimal // above 0 and up to 1000, at most 20 different ones, in any order
}

var (
	hundred         = decimal.NewFromInt(100)
	defaultWarning  = decimal.NewFromInt(80)
	defaultCritical = decimal.NewFromInt(90)
)

// WarningPercent returns the percent from which the level is [Warning].
func (t Thresholds) WarningPercent() decimal.Decimal { return valueOr(t.Warning, defaultWarning) }

// CriticalPercent returns the percent from which the level is [Critical].
func (t Thresholds) CriticalPercent() decimal.Decimal { return valueOr(t.Critical, defaultCritical) }

func valueOr(d *decimal.Decimal, absent decimal.Decimal) decimal.Decimal {
	if d == nil {
		return absent
	}
	return *d
}

// Validate refuses percents outside their bounds or with too many decimal places, and extra ones that are too many or twice
// the same. One of them may equal the warning or the critical percent or 100: then it is the same threshold. All findings
// are field errors.
func (t Thresholds) Validate() error {
	return errors.Join(
		validatePercent("warning_percent", t.WarningPercent()),
		validatePercent("critical_percent", t.CriticalPercent()),
		t.validateExtra(),
	)
}

func validatePercent(field string, percent decimal.Decimal) error {
	n, err := usage.Units(percent, places)
	switch {
	case errors.Is(err, usage.ErrInvalid):
		return invalid.Field(field, "%v", err)
	case err != nil || n < 0 || n > 100*percentUnit:
		return invalid.Field(field, "must be from 0 to 100")
	default:
		return nil
	}
}

func (t Thresholds) validateExtra() error {
	const field = "extra_percents"
	if len(t.Extra) > maxExtra {
		return invalid.Field(field, "has %d percents, at most %d are allowed", len(t.Extra), maxExtra)
	}
	var errs []error
	seen := make(map[int64]bool)
	for _, percent := range t.Extra {
		n, err := usage.Units(percent, places)
		switch {
		case errors.Is(err, usage.ErrInvalid):
			errs = append(errs, invalid.Field(field, "a percent %v", err))
		case err != nil || n <= 0 || n > 1000*percentUnit:
			errs = append(errs, invalid.Field(field, "a percent must be above 0 and up to 1000"))
		case seen[n]:
			errs = append(errs, invalid.Field(field, "has %v twice", percent))
		}
		seen[n] = err == nil
	}
	return errors.Join(errs...)
}
