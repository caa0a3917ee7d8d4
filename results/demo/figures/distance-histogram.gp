# Attention by distance per layer, every checkpoint of the run in one picture
# Draws distance-histogram.pdf from distance-histogram.dat; another format: gnuplot -e "format='svg'" distance-histogram.gp  (pdf, svg, png, tex)
reset
set decimalsign '.'
if (!exists('format')) { format = 'pdf' }
if (!exists('font')) { font = 'Helvetica' }
tex = (format eq 'tex')
if (format eq 'pdf') {
    set terminal pdfcairo enhanced color font font.',8' fontscale 0.75 linewidth 1 size 8.5cm, 8.35cm
}
if (tex) {
    set terminal cairolatex pdf input color font ',8' fontscale 0.75 linewidth 1 size 8.5cm, 8.35cm
}
if (format eq 'svg') {
    set terminal svg enhanced font font.',10.67' linewidth 0.67 size 321, 316 name 'distance_histogram' background '#ffffff'
}
if (format eq 'png') {
    set terminal pngcairo enhanced color font font.',8' fontscale 3.1250 linewidth 2.00 pointscale 4.17 size 1004, 986 background '#ffffff'
}
data = 'distance-histogram.dat'
set output tex ? 'distance-histogram-inc.tex' : 'distance-histogram.'.format
set border 15 linewidth 0.6 linecolor rgb '#333333'
set tics out nomirror scale 0.4 textcolor rgb '#000000'
if (format eq 'svg') { set xtics offset 0, 0.4 }
set style fill solid 1 noborder
set multiplot

unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.12941; set rmargin at screen 0.38627
set bmargin at screen 0.71018; set tmargin at screen 0.90180
set arrow from screen 0.01765, screen 0.96647 to screen 0.07647, screen 0.96647 nohead linewidth 0.9 dashtype (6,4) linecolor rgb '#303030'
set label 'base' at screen 0.08588, screen 0.96647 left 
set arrow from screen 0.34314, screen 0.96647 to screen 0.40196, screen 0.96647 nohead linewidth 1.2 dashtype 1 linecolor rgb '#d55e00'
set label 'sft' at screen 0.41137, screen 0.96647 left 
set label 'attention per bin' at screen 0.02588, screen 0.57844 center rotate by 90
set label 'distance in tokens, lower end of bin' at screen 0.54412, screen 0.13054 center 
set label '*: linear layer, mixing that its recurrence implies' at screen 0.01765, screen 0.02395 left textcolor rgb '#777777'
set label 'median over the heads of a layer; band: middle half' at screen 0.01765, screen 0.06707 left textcolor rgb '#777777'
set label 'layer 0*' at screen 0.12941, screen 0.92335 left textcolor rgb '#777777'
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 0 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 0 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 1 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 1 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.41569; set rmargin at screen 0.67255
set bmargin at screen 0.71018; set tmargin at screen 0.90180
set label 'layer 1*' at screen 0.41569, screen 0.92335 left textcolor rgb '#777777'
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 2 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 2 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 3 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 3 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.70196; set rmargin at screen 0.95882
set bmargin at screen 0.71018; set tmargin at screen 0.90180
set label 'layer 2' at screen 0.70196, screen 0.92335 left 
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 4 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 4 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 5 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 5 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.12941; set rmargin at screen 0.38627
set bmargin at screen 0.46108; set tmargin at screen 0.65269
set label 'layer 3*' at screen 0.12941, screen 0.67425 left textcolor rgb '#777777'
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 6 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 6 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 7 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 7 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.41569; set rmargin at screen 0.67255
set bmargin at screen 0.46108; set tmargin at screen 0.65269
set label 'layer 4*' at screen 0.41569, screen 0.67425 left textcolor rgb '#777777'
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('' 1, '' 2, '' 3, '' 4, '' 5, '' 6, '' 7, '' 8, '' 9, '' 10, '' 11)
plot data index 8 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 8 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 9 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 9 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.70196; set rmargin at screen 0.95882
set bmargin at screen 0.46108; set tmargin at screen 0.65269
set label 'layer 5' at screen 0.70196, screen 0.67425 left 
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('1' 1, '' 2, '' 3, '8' 4, '' 5, '' 6, '64' 7, '' 8, '' 9, '512' 10, '' 11)
plot data index 10 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 10 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 11 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 11 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.12941; set rmargin at screen 0.38627
set bmargin at screen 0.21198; set tmargin at screen 0.40359
set label 'layer 6*' at screen 0.12941, screen 0.42515 left textcolor rgb '#777777'
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set xrange [-0.5:11.5]
unset mxtics; set xtics ('1' 1, '' 2, '' 3, '8' 4, '' 5, '' 6, '64' 7, '' 8, '' 9, '512' 10, '' 11)
plot data index 12 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 12 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 13 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 13 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset label; unset arrow; unset object; unset logscale; unset key; unset colorbox
unset xlabel; unset ylabel; unset cblabel; set format '%g'; set xtics; set ytics; set cbtics
set lmargin at screen 0.41569; set rmargin at screen 0.67255
set bmargin at screen 0.21198; set tmargin at screen 0.40359
set label 'layer 7' at screen 0.41569, screen 0.42515 left 
set yrange [0:0.3]
unset mytics; set ytics 0.2; set format y '%g'
set format y ''
set xrange [-0.5:11.5]
unset mxtics; set xtics ('1' 1, '' 2, '' 3, '8' 4, '' 5, '' 6, '64' 7, '' 8, '' 9, '512' 10, '' 11)
plot data index 14 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#d55e00' notitle \
   , data index 14 using 1:2 with lines linewidth 1.2 dashtype 1 linecolor rgb '#d55e00' notitle \
   , data index 15 using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder linecolor rgb '#303030' notitle \
   , data index 15 using 1:2 with lines linewidth 0.9 dashtype (6,4) linecolor rgb '#303030' notitle \


unset multiplot
unset output
if (tex) { set print 'distance-histogram.tex'; print '\begingroup\fontsize{8}{9.6}\selectfont\input{distance-histogram-inc}\endgroup'; set print }
