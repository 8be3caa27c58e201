package main

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/purser-go/purser/budget"
)

// metrics are what the server counts of itself. No name of a tenant, user or budget is in them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	ops      *prometheus.HistogramVec
	waits    *prometheus.HistogramVec
	items    *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "purser_http_request_duration_seconds", Help: "How long requests took, by route.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"route", "method", "code"}),
		ops: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "purser_transaction_duration_seconds", Help: "How long shared transactions took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"name", "outcome"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "purser_transaction_wait_seconds", Help: "How long the first of those who shared a transaction had waited for it.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"name"}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "purser_transaction_items_total", Help: "Events and reservations in shared transactions.",
		}, []string{"name", "outcome"}),
	}
	m.registry.MustRegister(m.requests, m.ops, m.waits, m.items,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// observe counts a transaction of the ledger's.
func (m *metrics) observe(op budget.Op) {
	outcome := "ok"
	if op.Err != nil {
		outcome = "failed"
	}
	m.ops.WithLabelValues(op.Name, outcome).Observe(op.Took.Seconds())
	m.waits.WithLabelValues(op.Name).Observe(op.Wait.Seconds())
	m.items.WithLabelValues(op.Name, outcome).Add(float64(op.Items))
}

// measured counts requests by the pattern that mux has for them.
func (m *metrics) measured(next http.Handler, mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		answer := &answerWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() { // also of an answer that is broken off
			_, pattern := mux.Handler(r)
			if _, path, named := strings.Cut(pattern, " "); named {
				pattern = path // the method stands beside it
			}
			method := r.Method
			if !knownMethod(method) {
				method = "other" // a client may invent any number of them
			}
			m.requests.WithLabelValues(pattern, method, strconv.Itoa(answer.status)).Observe(time.Since(begin).Seconds())
		}()
		next.ServeHTTP(answer, r)
	})
}

func knownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return true
	}
	return false
}

// logged writes a line for each request. Neither its query nor its headers are in it: they may hold what nobody else is to
// know.
func logged(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		answer := &answerWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() { // also of an answer that is broken off
			log.InfoContext(r.Context(), "request",
				"method", r.Method, "path", r.URL.Path, "status", answer.status, "bytes", answer.bytes,
				"took", time.Since(begin), "from", r.RemoteAddr)
		}()
		next.ServeHTTP(answer, r)
	})
}

// An answerWriter remembers what was answered.
type answerWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
	wrote  bool
}

func (w *answerWriter) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(text []byte) (int, error) {
	w.wrote = true
	n, err := w.ResponseWriter.Write(text)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets a handler set deadlines and flush.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
