# Attention on the needle of the heads that read it, every checkpoint in one picture
# Draws retrieval-heads.pdf from retrieval-heads.dat; another format: gnuplot -e "format='svg'" retrieval-heads.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 4.71cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 4.71cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 178 name 'retrieval_heads' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 4.17 size 1004, 556 background '#ffffff'
}
data = 'retrieval-heads.dat'
set output tex ? 'retrieval-heads-inc.tex' : 'retrieval-heads.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
if (format eq 'svg') { set xtics offset 0, 0.4 }
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.17647; set rmargin at screen 0.95294
set bmargin at screen 0.20170; set tmargin at screen 0.88110
set label '' at screen 0.02706, screen 0.94055 left point pointtype 6 pointsize 0.6 linecolor rgb '#303030'
set label 'base' at screen 0.04824, screen 0.94055 left 
set label '' at screen 0.35255, screen 0.94055 left point pointtype 7 pointsize 0.6 linecolor rgb '#d55e00'
set label 'sft' at screen 0.37373, screen 0.94055 left 
set label 'attention on the needle at the answer' at screen 0.56471, screen 0.05308 center 
set label 'layer.head' at screen 0.03529, screen 0.54140 center rotate by 90
set xrange [-0.03:1]
unset mxtics; set xtics 0.2; set format x '%g'
set yrange [-6.6:0.6]; unset mytics
set ytics ('5.0' -0, '5.4' -1, '5.3' -2, '5.2' -3, '2.5' -4, '2.0' -5, '2.4' -6)
plot data index 0 using 1:2 with points pointtype 6 pointsize 0.6 linewidth 1 linecolor rgb '#303030' notitle \
   , data index 1 using 5:2:($1-$5):(0) with vectors nohead linewidth 0.8 linecolor rgb '#d55e00' notitle \
   , data index 1 using 1:2 with points pointtype 7 pointsize 0.6 linewidth 1 linecolor rgb '#d55e00' notitle \


unset multiplot
unset output
if (tex) { set print 'retrieval-heads.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{retrieval-heads-inc}\endgroup'; set print }
