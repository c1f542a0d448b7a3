package train

// follow moves the reference towards the policy: mix * policy + (1 - mix) * reference, for every parameter that trains (TR-DPO, arXiv
// 2404.09656). Checkpoints hold the reference from then on.
func (m *model) follow(mix float64) {
	m.synced = true
	share := float32(mix)
	for name, t := range m.reference {
		w := m.weights[name]
		if w == t {
			continue
		}
		to := t.Float32()
		for i, x := range w.Float32() {
			to[i] = float32(share*x) + float32((1-share)*to[i]) // conversions forbid fusing: same bits everywhere
		}
	}
}
