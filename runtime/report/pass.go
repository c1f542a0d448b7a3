package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"mixr/runtime/table"
)

// passPrefix begins the metric pass@K: the chance that at least one of K samples of an example is right.
const passPrefix = "pass@"

// passed is the K of a metric pass@K.
func passed(metric string) (k int, ok bool) {
	digits, ok := strings.CutPrefix(metric, passPrefix)
	if k, err := strconv.Atoi(digits); ok && err == nil && k >= 1 && digits == strconv.Itoa(k) {
		return k, true
	}
	return 0, false
}

// measurePass puts the estimate of pass@k of each example into the first of its rows and drops the others. Examples with fewer than k
// samples that are right or wrong are left out; left counts their rows.
func measurePass(rows []table.Eval, k int) (kept []table.Eval, left int) {
	type key struct{ source, id string }
	type count struct{ n, right, rows int }
	counts := map[key]count{}
	for _, r := range rows {
		c := counts[key{r.Source, r.ExampleID}]
		c.rows++
		if r.Correct != nil {
			c.n++
			if *r.Correct {
				c.right++
			}
		}
		counts[key{r.Source, r.ExampleID}] = c
	}
	for _, r := range rows {
		at := key{r.Source, r.ExampleID}
		c, first := counts[at]
		if !first {
			continue
		}
		delete(counts, at)
		if c.n < k {
			left += c.rows
			continue
		}
		r.Sample, r.Reward, r.Correct = 0, passAt(c.n, c.right, k), nil
		r.Completion = fmt.Sprintf("%d of %d samples are right", c.right, c.n)
		kept = append(kept, r)
	}
	return kept, left
}

// passAt is the unbiased estimate of pass@k from n samples of which some are right, 1 - C(n-right, k) / C(n, k) (Chen et al., arXiv
// 2107.03374, equation 1), by their product, which does not overflow. k is at most n.
func passAt(n, right, k int) float64 {
	if n-right < k {
		return 1
	}
	none := 1.0
	for i := n - right + 1; i <= n; i++ {
		none *= 1 - float64(k)/float64(i)
	}
	return 1 - none
}

// furtherMetrics are what a run's reports have beside the reward: pass@K for eval.pass_k, and the greedy completions of eval.greedy.
func furtherMetrics(dir string) ([]string, error) {
	values, ok, err := readSpec(dir)
	if err != nil || !ok {
		return nil, err
	}
	var out []string
	var ks []int
	if text := values["eval.pass_k"].Value; text != nil {
		if err := json.Unmarshal(text, &ks); err != nil {
			return nil, fmt.Errorf("%s: eval.pass_k: %w", dir, err)
		}
	}
	for _, k := range ks {
		out = append(out, passPrefix+strconv.Itoa(k))
	}
	if string(values["eval.greedy"].Value) == "true" {
		out = append(out, greedy, greedyCorrect)
	}
	return out, nil
}
