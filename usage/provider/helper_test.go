package provider_test

import "github.com/shopspring/decimal"

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }
