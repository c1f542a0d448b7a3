package hub

import (
	"path/filepath"
	"testing"
)

// The wanted values are those that huggingface_hub 2.4 has for the same variables.
func TestEnvironment(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	put(t, filepath.Join(home, ".cache/huggingface/token"), "hf_default\n")
	put(t, filepath.Join(home, "hf/token"), " hf_home\r\n")
	put(t, filepath.Join(home, "token"), "hf_path")
	for _, test := range []struct {
		name string
		env  map[string]string
		want Options
	}{
		{"nothing", nil, Options{Cache: home + "/.cache/huggingface/hub", Token: "hf_default"}},
		{"XDG", map[string]string{"XDG_CACHE_HOME": "/x"}, Options{Cache: "/x/huggingface/hub"}},
		{"home", map[string]string{"HF_HOME": "~/hf", "XDG_CACHE_HOME": "/x"}, Options{Cache: home + "/hf/hub", Token: "hf_home"}},
		{"home by a variable", map[string]string{"HF_HOME": "$SCRATCH/hf", "SCRATCH": "/s"}, Options{Cache: "/s/hf/hub"}},
		{"cache", map[string]string{"HF_HOME": "/h", "HF_HUB_CACHE": "/c", "HUGGINGFACE_HUB_CACHE": "/old"}, Options{Cache: "/c"}},
		{"old cache", map[string]string{"HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/old"}, Options{Cache: "/old"}},
		{"token", map[string]string{"HF_HOME": "~/hf", "HF_TOKEN": "hf_env\n"}, Options{Cache: home + "/hf/hub", Token: "hf_env"}},
		{"token file", map[string]string{"HF_HOME": "~/hf", "HF_TOKEN_PATH": "~/token"}, Options{Cache: home + "/hf/hub", Token: "hf_path"}},
		{"no token", map[string]string{"HF_HOME": "~/hf", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, Options{Cache: home + "/hf/hub"}},
		{"endpoint", map[string]string{"HF_HOME": "/h", "HF_ENDPOINT": "https://m/"}, Options{Cache: "/h/hub", Endpoint: "https://m/"}},
		{"offline", map[string]string{"HF_HOME": "/h", "HF_HUB_OFFLINE": "yes"}, Options{Cache: "/h/hub", Offline: true}},
		{"offline by transformers", map[string]string{"HF_HOME": "/h", "TRANSFORMERS_OFFLINE": "1"}, Options{Cache: "/h/hub", Offline: true}},
		{"not offline", map[string]string{"HF_HOME": "/h", "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, Options{Cache: "/h/hub"}},
	} {
		got, err := Environment(func(name string) string { return test.env[name] })
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got.Cache != test.want.Cache || got.Token != test.want.Token || got.Endpoint != test.want.Endpoint || got.Offline != test.want.Offline {
			t.Errorf("%s: cache %q, token %q, endpoint %q, offline %v", test.name, got.Cache, got.Token, got.Endpoint, got.Offline)
		}
	}
	_, err := Environment(func(name string) string { return map[string]string{"HF_TOKEN_PATH": home}[name] })
	wantError(t, err, "read the Hugging Face token", home) // a folder is no file
}

func TestNewRefuses(t *testing.T) {
	for want, o := range map[string]Options{
		"HF_ENDPOINT":              {Endpoint: "huggingface.co", Cache: "/c"},
		"ftp://x":                  {Endpoint: "ftp://x", Cache: "/c"},
		"no cache folder":          {},
		"characters that no token": {Cache: "/c", Token: "hf_a\nhf_b"},
	} {
		_, err := New(o)
		wantError(t, err, want)
	}
}
