// Package purser keeps a service's metered spending inside its budgets.
package purser
