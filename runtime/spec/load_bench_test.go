package spec

import "testing"

func BenchmarkLoad(b *testing.B) {
	for _, file := range []string{"quickstart.cue", "mixed_r1/reward_ladder.cue"} {
		b.Run(file, func(b *testing.B) {
			for b.Loop() {
				if _, mistakes := Load("../../experiments/"+file, nil); mistakes != nil {
					b.Fatal(mistakes)
				}
			}
		})
	}
}
