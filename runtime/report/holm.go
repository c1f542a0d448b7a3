package report

import (
	"cmp"
	"slices"
)

// holm adjusts the p-values of a family of tests (Holm 1979): what stays below 5 % is found with at most 5 % probability of any false
// find in the whole family. The order is kept.
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	adjusted := make([]float64, len(p))
	least := 0.0
	for rank, i := range order {
		least = max(least, min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = least
	}
	return adjusted
}
