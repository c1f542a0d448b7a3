package fetch
import ("testing";"os";"time")
func TestReal(t *testing.T){ t0:=time.Now(); lib,err:=Find(t.Context(), Options{CacheDir: os.Getenv("REAL"), Log: func(s string){t.Log(s)}}); t.Log(lib,err,time.Since(t0)) }
