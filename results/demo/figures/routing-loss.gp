# What attention lost against the base per layer and head: distance scale and far attention
# Draws routing-loss.pdf from routing-loss.dat; another format: gnuplot -e "format='svg'" routing-loss.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 7.09cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 7.09cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 268 name 'routing_loss' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 4.17 size 1004, 837 background '#ffffff'
}
data = 'routing-loss.dat'
set output tex ? 'routing-loss-inc.tex' : 'routing-loss.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
if (format eq 'svg') { set xtics offset 0, 0.4 }
set style fill solid 1 noborder
set multiplot
set palette defined (0 '#9c1f2e', 1 '#e08a63', 2 '#f6f0dc', 3 '#6fa3d0', 4 '#1b4f8f')

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.13529; set rmargin at screen 0.85882
set bmargin at screen 0.56559; set tmargin at screen 0.79126
set label 'sft against base' at screen 0.01765, screen 0.95910 left 
set object rectangle from screen 0.01765, screen 0.89422 to screen 0.05529, screen 0.91678 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label 'full attention' at screen 0.06706, screen 0.90550 left 
set object rectangle from screen 0.31882, screen 0.89422 to screen 0.35647, screen 0.91678 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set label 'linear' at screen 0.36824, screen 0.90550 left 
set label 'grey: no value (not probed, or nothing far to lose)' at screen 0.01765, screen 0.02821 left textcolor rgb '#777777'
set label (tex ? '$\times$: 95 \% interval includes 0' : '×: 95 % interval includes 0') at screen 0.01765, screen 0.07898 left textcolor rgb '#777777'
set colorbox vertical user origin screen 0.87647, screen 0.56559 size screen 0.02588, screen 0.22567
set cbrange [-0.6:0.6]
unset mcbtics; set cbtics 0.5; set format cb '%g'
set object rectangle from screen 0.13529, screen 0.79831 to screen 0.31618, screen 0.81664 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.31618, screen 0.79831 to screen 0.40662, screen 0.81664 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.40662, screen 0.79831 to screen 0.58750, screen 0.81664 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.58750, screen 0.79831 to screen 0.67794, screen 0.81664 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.67794, screen 0.79831 to screen 0.76838, screen 0.81664 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.76838, screen 0.79831 to screen 0.85882, screen 0.81664 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label 'distance scale: shift in log2 tokens' at screen 0.13529, screen 0.84767 left 
set label 'head' at screen 0.03529, screen 0.67842 center rotate by 90
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set format x ''
set yrange [-0.5:5.5]; unset mytics; set ytics 0, 2; set format y '%g'
plot data index 0 using 1:2:(0.51):(0.51):3 with boxxyerror linecolor palette notitle \
   , data index 1 using 1:2 with points pointtype 2 pointsize 0.40 linewidth 0.5 linecolor rgb '#b0b0b0' notitle \

set palette defined (0 '#1b4f8f', 1 '#6fa3d0', 2 '#f6f0dc', 3 '#e08a63', 4 '#9c1f2e')

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.13529; set rmargin at screen 0.85882
set bmargin at screen 0.23554; set tmargin at screen 0.46121
set colorbox vertical user origin screen 0.87647, screen 0.23554 size screen 0.02588, screen 0.22567
set cbrange [-0.35:0.35]
unset mcbtics; set cbtics 0.2; set format cb '%g'
set object rectangle from screen 0.13529, screen 0.46827 to screen 0.31618, screen 0.48660 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.31618, screen 0.46827 to screen 0.40662, screen 0.48660 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.40662, screen 0.46827 to screen 0.58750, screen 0.48660 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.58750, screen 0.46827 to screen 0.67794, screen 0.48660 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set object rectangle from screen 0.67794, screen 0.46827 to screen 0.76838, screen 0.48660 fillcolor rgb '#f2b84b' fillstyle solid 1 noborder front
set object rectangle from screen 0.76838, screen 0.46827 to screen 0.85882, screen 0.48660 fillcolor rgb '#15305b' fillstyle solid 1 noborder front
set label 'far attention: share lost' at screen 0.13529, screen 0.51763 left 
set label 'head' at screen 0.03529, screen 0.34838 center rotate by 90
set xrange [-0.5:7.5]; unset mxtics; set xtics 0, 1; set format x '%g'
set label 'layer' at screen 0.49706, screen 0.13681 center 
set yrange [-0.5:5.5]; unset mytics; set ytics 0, 2; set format y '%g'
plot data index 3 using 1:2:(0.51):(0.51) with boxxyerror linecolor rgb '#dcdcdc' notitle \
   , data index 2 using 1:2:(0.51):(0.51):3 with boxxyerror linecolor palette notitle \
   , data index 4 using 1:2 with points pointtype 2 pointsize 0.40 linewidth 0.5 linecolor rgb '#b0b0b0' notitle \


unset multiplot
unset output
if (tex) { set print 'routing-loss.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{routing-loss-inc}\endgroup'; set print }
