package qwen25vl
import ("testing";"os";"encoding/json";"fmt";"math";"encoding/binary";"mixr/runtime/images";"mixr/runtime/models")
func TestZZ(t *testing.T){
 big,alln:=0,0; cmp:=func(file string,got []float32)(int,float64,float64){ b,err:=os.ReadFile(file); if err!=nil{t.Fatal(err)}; if len(b)!=4*len(got){return -1,0,0}; n:=0; worst,sum:=0.0,0.0; for i,g:=range got{ w:=math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])); if w!=g{n++}; d:=math.Abs(float64(w-g)); if d>0.007{big++};alln++; worst=max(worst,d);sum+=d}; return n,worst,sum/float64(len(got))}
 for _,which:=range []string{"pil12","pil13","fast"}{
  b,_:=os.ReadFile("/tmp/tv/ref_"+which+"/meta.json"); var rows [][]any; json.Unmarshal(b,&rows); exact:=0; worst,mean,share:=0.0,0.0,0.0;total:=0
  for n,r:=range rows{ img,err:=images.Load(r[0].(string)); if err!=nil{t.Fatal(err)}; p,err:=Preprocess([]images.RGB{img},models.Limits{MinPixels:int(r[1].(float64)),MaxPixels:int(r[2].(float64))}); if err!=nil{t.Fatal(err)}
   if p.Grid!=[3]int{int(r[3].(float64)),int(r[4].(float64)),int(r[5].(float64))}{t.Errorf("%s %d %v: grid %v want %v",which,n,r,p.Grid,r[3:])}
   d,w,m:=cmp(fmt.Sprintf("/tmp/tv/ref_%s/%d.bin",which,n),p.Pixels); if d==0{exact++} else if which!="fast" {t.Log(which,n,r,img.W,img.H,d,len(p.Pixels),w*255*.2626)}; worst=max(worst,w);mean+=m*float64(len(p.Pixels));share+=float64(d);total+=len(p.Pixels)}
  t.Log("off by a level:",which,float64(big)/float64(alln)); t.Logf("%s: %d of %d exact; worst %g (%.2f levels) mean %g differ share %g",which,exact,len(rows),worst,worst*255*0.2626,mean/float64(total),share/float64(total))
 }
 b,_:=os.ReadFile("/tmp/tv/ref_fast/vmeta.json"); var rows [][]int; json.Unmarshal(b,&rows)
 for n,r:=range rows{ var fr []images.RGB; for i:=range r[0]{img,_:=images.Load(fmt.Sprintf("/tmp/tv/vid_%d_%d.png",n,i));fr=append(fr,img)}
  p,err:=Preprocess(fr,models.Limits{MinPixels:r[1],MaxPixels:r[2]}); if err!=nil{t.Fatal(err)}
  d,w,m:=cmp(fmt.Sprintf("/tmp/tv/ref_fast/v%d.bin",n),p.Pixels); t.Log(r,p.Grid,d,len(p.Pixels),w,m)}
}
