package grpo

import "fmt"

// Update is what an aggregation rule must know about the whole policy update, of all micro-batches and processes.
type Update struct {
	Masks [][]bool // [N][T_n] true where a token counts in the loss; masked rows stay, as rows
	// MicroRows is the number of consecutive rows of one micro-batch; 0 = the whole update is one. Only MicroTokenMean
	// reads it: bnpo is defined by its micro-batches, every other rule cannot see them.
	MicroRows int
	// MaxTokens is the longest completion that sampling allows. Only FixedLength reads it.
	MaxTokens int
	// Tokens overrides the number of counted tokens N_t, 0 = count Masks; Processes (0 = 1) is the number of processes
	// whose gradients will be averaged, each holding its own Masks. Only TokenMean reads them; a single process that
	// sees the whole update leaves both 0.
	Tokens, Processes int
}

// TokenWeights returns w [N][T_n] such that the aggregated loss is the sum over all rows and tokens of w * L, in
// whatever pieces that sum is computed. With n_i the counted tokens of row i:
//
//	row_mean          w = m / (N max(1, n_i))
//	token_mean        w = m P / max(1, N_t)            over the update's tokens: TRL counts the generation batch's, #5619
//	micro_token_mean  w = m / (K max(1, tokens of the row's micro-batch)), K micro-batches
//	fixed_length      w = m / (N MaxTokens)            Dr. GRPO, arXiv 2503.20783
//	row_sum           w = m / N                        at sequence level: mean_i(L_i n_i)
//
// A fully masked row adds nothing to the loss and still counts in N.
func TokenWeights(a Aggregation, u Update) ([][]float64, error) {
	counts := make([]int, len(u.Masks))
	tokens := 0
	for i, row := range u.Masks {
		counts[i] = counted(row)
		tokens += counts[i]
	}
	rows := float64(len(u.Masks))
	var rowWeight func(i int) float64
	switch a {
	case RowMean:
		rowWeight = func(i int) float64 { return 1 / (rows * float64(max(1, counts[i]))) }
	case TokenMean:
		if u.Tokens != 0 {
			tokens = u.Tokens
		}
		w := float64(max(1, u.Processes)) / float64(max(1, tokens))
		rowWeight = func(int) float64 { return w }
	case MicroTokenMean:
		size := u.MicroRows
		if size == 0 {
			size = max(1, len(u.Masks))
		}
		if size < 0 || len(u.Masks)%size != 0 {
			return nil, fmt.Errorf("token weights: %d rows do not divide into micro-batches of %d", len(u.Masks), size)
		}
		micro := make([]int, len(u.Masks)/size)
		for i, n := range counts {
			micro[i/size] += n
		}
		rowWeight = func(i int) float64 { return 1 / (float64(len(micro)) * float64(max(1, micro[i/size]))) }
	case FixedLength:
		if u.MaxTokens < 1 {
			return nil, fmt.Errorf("token weights: max_completion_tokens: got %d, want >= 1 for fixed_length (dr_grpo)", u.MaxTokens)
		}
		rowWeight = func(int) float64 { return 1 / (rows * float64(u.MaxTokens)) }
	case RowSum:
		rowWeight = func(int) float64 { return 1 / rows }
	default:
		return nil, fmt.Errorf("token weights: got aggregation %q, want row_mean, token_mean, micro_token_mean, fixed_length or row_sum", a)
	}
	out := make([][]float64, len(u.Masks))
	for i, row := range u.Masks {
		out[i] = make([]float64, len(row))
		w := rowWeight(i)
		for t, m := range row {
			if m {
				out[i][t] = w
			}
		}
	}
	return out, nil
}

func counted(mask []bool) (n int) {
	for _, m := range mask {
		if m {
			n++
		}
	}
	return n
}
