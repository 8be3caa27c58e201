// Package alert decides when the use of a budget is worth telling somebody, exactly.
//
// Shares are compared as products of integers or decimals, never as rounded percentages, so that 4.52 of 5.65 is 80 % and
// 99.96 % is not 100 %. A threshold is reached at its percent, not above it. Where nothing is used no threshold is reached,
// not even one of 0 %, which the first use reaches.
package alert
