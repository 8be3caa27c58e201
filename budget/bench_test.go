package budget_test

import (
	"context"
	"testing"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// three makes three budgets that cover every request, and returns one.
func three(b *testing.B, l *budget.Ledger) budget.Request {
	b.Helper()
	for _, budget := range []budget.Budget{
		{Name: "all", Metric: usage.Tokens, Limit: dec("1000000000000")},
		{Name: "users", Metric: usage.Requests, Limit: dec("1000000000000"), Schedule: period.Daily, Scope: budget.Scope{usage.User: budget.Each}},
		{Name: "acme", Metric: usage.Dollars, Limit: dec("1000000000"), Scope: budget.Scope{usage.Tenant: "acme"}},
	} {
		if _, err := l.Create(b.Context(), budget); err != nil {
			b.Fatal(err)
		}
	}
	return budget.Request{Subject: subject, Estimate: usage.Amounts{InputTokens: 1000, OutputTokens: 500, Cost: new(dec("0.0105"))}}
}

// reserveAndRelease is what is measured.
func reserveAndRelease(b *testing.B, l *budget.Ledger, r budget.Request) bool {
	ctx := context.Background()
	res, err := l.Reserve(ctx, r)
	if err != nil {
		b.Error(err)
		return false
	}
	if err := res.Release(ctx); err != nil {
		b.Error(err)
		return false
	}
	return true
}

// What it costs to reserve and release over three budgets, from memory.
func BenchmarkLeaseAdmit(b *testing.B) {
	begin := func(b *testing.B) (*budget.Ledger, budget.Request) {
		l := budget.NewLedger(memstore.New(nil), &budget.Options{Leases: &budget.LeaseOptions{}})
		r := three(b, l)
		running(b, l)
		if err := admitted(b, l, r).Release(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		return l, r
	}
	b.Run("one caller", func(b *testing.B) {
		l, r := begin(b)
		for b.Loop() && reserveAndRelease(b, l, r) {
		}
	})
	b.Run("parallel", func(b *testing.B) {
		l, r := begin(b)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() && reserveAndRelease(b, l, r) {
			}
		})
	})
}

// The same asked of a store, which is in memory: what the ledger and memstore cost.
func BenchmarkReserve(b *testing.B) {
	b.Run("one caller", func(b *testing.B) {
		l := budget.NewLedger(memstore.New(nil), nil)
		r := three(b, l)
		b.ReportAllocs()
		for b.Loop() && reserveAndRelease(b, l, r) {
		}
	})
	b.Run("parallel", func(b *testing.B) {
		l := budget.NewLedger(memstore.New(nil), nil)
		r := three(b, l)
		b.ReportAllocs()
		b.ResetTimer()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() && reserveAndRelease(b, l, r) {
			}
		})
	})
}
