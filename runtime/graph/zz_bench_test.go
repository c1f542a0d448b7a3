package graph_test
import ("testing";"mixr/runtime/graph";"mixr/runtime/ort";"mixr/runtime/ort/orttest")
func bench(b *testing.B, f func(g *graph.Graph)){
 g:=graph.New("b"); f(g); var err error; if err!=nil{b.Fatal(err)}
 e:=orttest.Open(b); s,err:=e.NewSession(g,ort.SessionOptions{Threads:1,Level:1}); if err!=nil{b.Fatal(err)}
 bd,_:=s.NewBinding()
 for _,v:=range g.Inputs(){ sh,_:=v.Shape().Ints(); x,_:=e.NewTensor(v.DType(),sh...); if v.DType()==graph.F32 {noise(1,x.Float32())}; bd.Input(v.Name(),x)}
 for _,o:=range g.Outputs(){ sh,_:=o.Value.Shape().Ints(); x,err:=e.NewTensor(o.Value.DType(),sh...); if err!=nil{b.Fatal(err)}; bd.Output(o.Name,x)}
 for b.Loop(){ if err:=bd.Run();err!=nil{b.Fatal(err)} }
}
const nn,tt,kk,mm=2,160,512,1536
func BenchmarkLin(b *testing.B){
 b.Run("fused3",func(b *testing.B){bench(b,func(g *graph.Graph){x:=g.Input("x",graph.F32,nn,tt,kk);w:=g.Input("w",graph.F32,mm,kk);c:=g.Input("c",graph.F32,mm); g.Output("y",graph.Linear(x,w,c))})})
 b.Run("gemm",func(b *testing.B){bench(b,func(g *graph.Graph){x:=g.Input("x",graph.F32,nn,tt,kk);w:=g.Input("w",graph.F32,mm,kk);c:=g.Input("c",graph.F32,mm); g.Output("y",graph.Reshape(graph.Linear(graph.Reshape(x,-1,kk),w,c),nn,tt,mm))})})
 b.Run("fused3nobias",func(b *testing.B){bench(b,func(g *graph.Graph){x:=g.Input("x",graph.F32,nn,tt,kk);w:=g.Input("w",graph.F32,mm,kk); g.Output("y",graph.Linear(x,w,nil))})})
 b.Run("gemmnobias",func(b *testing.B){bench(b,func(g *graph.Graph){x:=g.Input("x",graph.F32,nn,tt,kk);w:=g.Input("w",graph.F32,mm,kk);g.Output("y",graph.Reshape(graph.Linear(graph.Reshape(x,-1,kk),w,nil),nn,tt,mm))})})
 b.Run("dx_fused3",func(b *testing.B){bench(b,func(g *graph.Graph){x:=g.Input("d",graph.F32,nn,tt,mm);w:=g.Input("w",graph.F32,mm,kk); g.Output("y",graph.MatMul(x,w,false,false,1))})})
 b.Run("dx_gemm",func(b *testing.B){bench(b,func(g *graph.Graph){x:=g.Input("d",graph.F32,nn*tt,mm);w:=g.Input("w",graph.F32,mm,kk); g.Output("y",graph.MatMul(x,w,false,false,1))})})
 b.Run("dw_gemmTN",func(b *testing.B){bench(b,func(g *graph.Graph){x:=g.Input("d",graph.F32,nn*tt,mm);w:=g.Input("w",graph.F32,nn*tt,kk); g.Output("y",graph.MatMul(x,w,true,false,1))})})
}
