// Package alert decides when the use of a budget is worth telling somebody, exactly, and sees to it that they are told.
//
// # Levels
//
// Shares are compared as products of integers or decimals, never as rounded percentages, so that 4.52 of 5.65 is 80 % and
// 99.96 % is not 100 %. A threshold is reached at its percent, not above it. Where nothing is used no threshold is reached,
// not even one of 0 %, which the first use reaches.
//
// # Delivery
//
// An [Alert] is stored by what crossed the line, in the same transaction; a forecast by who looks for them, such as a
// ledger's Run. A [Dispatcher] then takes it from that [Outbox] to
// the [Sink] of each [Route] that matches it: a Go function by [Func], a log by package slogsink, a receiver over HTTP by
// package webhook. Any number of dispatchers share the work.
//
//   - Each alert arrives at least once, under the same ID each time. It arrives twice if a dispatcher dies, or the outbox is
//     away, between sending and writing that down.
//   - Those of one budget and value arrive at one sink in the order in which they were made. While one fails, those
//     behind it wait, and all others flow.
//   - One that fails is tried again after a random time that doubles, and is given up in the end: a dead letter, which
//     stays, can be resent, and lets those behind it go.
//   - Where an operation crosses several thresholds at once, the highest is delivered; the others are kept as superseded.
package alert
