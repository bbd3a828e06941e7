/**
 * Words that mean much the same or name things of one sort, one kin a line. A text shows the kin of its words besides the
 * words, so that few examples teach more: "in italian" is half known from "in french". Written by hand from everyday
 * English; words whose sort hangs on what stands around them (order, book, second) are left out. The first line is numbers.
 * Kins between two blank lines share a topic; those before the first blank line have none.
 */
export const LEXICON = `
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million couple dozen half quarter
lost lose misplaced missing disappeared vanished stolen stole robbed snatched gone theft
block freeze frozen lock deactivate disable suspend hold unblock unfreeze suspension halted
dog cat pet puppy kitten hamster rabbit goldfish parrot
red blue green yellow purple pink black white brown color
big large huge giant
small little tiny
good great best nice excellent top better perfect awesome amazing wonderful fantastic lovely superb
fast quick quickest fastest rapid rapidly quicker speedy shortest faster swiftly
near nearby nearest closest close around vicinity nearer closeby surrounding local
arrive arrival delivered delivery
list display view see
tell say explain inform describe
find search locate look found seek discover
start begin initiate launch run commence began
stop end quit kill terminate cease
cancel delete remove erase cancellation undo scrap revoke void wipe discard
change alter modify switch update edit swap adjust amend replace
make create prepare
fix repair broken broke busted damaged malfunctioning faulty defective crack smashed
need want gotta wanna wish require
help assist assistance helper guidance
can could would
please plz pls kindly
what wat wut
why reason
total overall altogether
left remaining leftover
tip gratuity
game sport football soccer basketball baseball tennis
reserve reservation booking
approve approval authorize permission allow permit grant
verify confirm check verification authenticate validate prove proof
turn flip
increase raise boost higher rise upgrade
decrease lower reduce downgrade
north south east west
question answer
understand know idea
hear listen
eat ate
president senator governor minister politics election
todo task
duplicate twice double again repeated
wrong incorrect mistake mistaken incorrectly
activate activation enable
apply enroll register signup join
send sent
wait awaiting
many much
address zip postcode
nationality citizen citizenship resident
country nation
walk jog bike bicycle cycling
believe think opinion thought
fake genuine
true false correct
maybe perhaps possibly unsure
dice roll toss
guess random

monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun weekend weekday
today tonight tomorrow yesterday tmrw tomorow
january february april june july august september october november december jan feb mar apr jul aug sept oct nov dec
morning afternoon evening noon midnight night oclock am pm
minute hour min sec
day week month year daily weekly monthly yearly
christmas easter thanksgiving birthday anniversary halloween holiday
calendar schedule agenda planner
alarm wake wakeup snooze
timer countdown stopwatch
meeting appointment event conference lunchtime rehearsal interview
remind reminder remember forget
recent recently latest newest previous earlier
age old young
long longer duration length

money cash funds dollar buck usd cent grand coin banknote penny quid
euro pound yen peso rupee franc won yuan baht krona ruble real shekel gbp eur cad lira dinar dirham currency bitcoin peseta zloty forint riyal ringgit
savings chequing account acct
bank chase citibank wells fargo hsbc barclays
visa mastercard amex debit plastic
paypal venmo zelle
pay paid payment repay settle payable prepay
buy bought purchase shop
spend spent expense expenditure
cost price fee charge surcharge expensive rate commission penalty fares pricey levy
cheap cheapest affordable inexpensive budget discount inexpensively bargain sale coupon deal promo voucher
earn salary paycheck wage income payroll payday stipend bonus paystub payslip
refund reimburse reimbursement moneyback chargeback reversal
owe debt loan mortgage borrow lend financing owed owing lender
transfer wire remit remittance
declined rejected refused denied bounced unsuccessful rejection unaccepted
tax irs w2
balance
statement receipt invoice
credit score
points rewards miles cashback
limit maximum minimum max cap ceiling
fraud fraudulent scam suspicious unauthorized unrecognized fraudulently hacked hacker unauthorised phishing compromised suspicion
stock share invest investment bond dow nasdaq trading dividend brokerage etf
deposit topup
withdraw withdrawal withdrew atm cashpoint
pending processing unprocessed outstanding unsettled
pin passcode password
contactless tap chip swipe
fail

germany italy spain portugal japan china korea india mexico brazil canada england britain uk ireland russia turkey greece egypt thailand vietnam australia peru cuba kenya nigeria poland sweden norway finland denmark switzerland austria netherlands belgium iceland israel jordan dubai indonesia philippines argentina colombia chile morocco usa america europe asia africa ukraine scotland wales iran iraq syria lebanon pakistan bangladesh nepal lanka malaysia cambodia laos taiwan mongolia ethiopia ghana uganda tanzania zimbabwe senegal algeria tunisia libya bolivia ecuador venezuela uruguay paraguay panama guatemala honduras nicaragua haiti jamaica bahamas hungary romania bulgaria serbia croatia slovenia slovakia estonia latvia lithuania luxembourg malta cyprus zealand qatar kuwait oman saudi arabia afghanistan kazakhstan somalia fiji
london paris rome berlin madrid tokyo beijing moscow sydney toronto boston chicago denver seattle dallas houston austin miami orlando atlanta detroit phoenix portland oakland philadelphia philly vegas york angeles francisco diego antonio nashville tampa cancun dublin amsterdam vienna athens istanbul cairo mumbai delhi bangkok singapore barcelona milan zurich munich frankfurt la nyc dc hawaii texas florida california alaska colorado vermont lisbon prague budapest warsaw oslo stockholm helsinki copenhagen brussels geneva venice florence naples lyon marseille hamburg cologne edinburgh glasgow manchester liverpool belfast montreal vancouver ottawa lagos nairobi casablanca johannesburg seoul osaka kyoto shanghai shenzhen taipei manila jakarta hanoi saigon kolkata bangalore karachi tehran baghdad riyadh doha melbourne brisbane perth auckland lima bogota santiago rio havana kingston cleveland cincinnati columbus pittsburgh baltimore memphis louisville milwaukee minneapolis omaha tulsa charlotte raleigh charleston savannah jacksonville sacramento fresno anaheim tucson albuquerque boise spokane honolulu anchorage ohio michigan georgia virginia maryland carolina tennessee kentucky alabama mississippi louisiana arkansas oklahoma kansas nebraska iowa missouri illinois indiana wisconsin minnesota utah nevada arizona oregon idaho montana wyoming dakota maine hampshire massachusetts connecticut jersey pennsylvania delaware

united delta southwest jetblue lufthansa ryanair emirates klm airline
flight fly plane airplane airfare jet airliner aeroplane flew flown layover nonstop redeye itinerary airways
ticket seat
airport gate terminal boarding runway
hotel motel hostel inn lodging accommodation airbnb marriott hilton hyatt sheraton room suite resort bnb campsite
luggage baggage suitcase bag backpack duffel carryon handbag purse
vacation trip travel journey getaway honeymoon tour tourism tourist sightseeing voyage cruise abroad overseas traveler
passport license id identity

mom mother dad father brother sister wife husband son daughter grandma grandpa grandmother grandfather aunt uncle cousin friend boyfriend girlfriend roommate kid parents family landlord neighbor coworker colleague mum mama papa daddy grandson granddaughter nephew niece inlaws sibling relative fiance spouse partner buddy pal mate folks
john mike david dave james tom bob jim sam joe paul mark steve kevin brian jake alex ben dan matt chris tim greg kyle eric ryan mary lisa sarah anna emma kate jenny jen amy linda karen laura susan nancy emily rachel maria julia lily nina priya
boss manager supervisor hr
child baby toddler

car vehicle auto truck suv van minivan sedan jeep minibus convertible motorcycle motorbike scooter automobile honda toyota ford chevy bmw tesla
uber lyft taxi cab
road highway freeway street interstate route bridge exit avenue boulevard lane tunnel
traffic congestion congested gridlock roadwork detour
tire wheel
gas fuel petrol diesel gasoline
oil engine brake transmission
mileage odometer mpg
drive drove ride
seatbelt windshield headlight wiper mirror
mechanic dealership
park
directions navigate navigation map gps
distance
train bus subway metro tram rail railway

restaurant diner bistro cafe steakhouse pizzeria eatery brasserie pub bar taverna canteen
pizza sushi taco burger pasta steak ramen burrito noodles sandwich curry lasagna soup salad stew chili spaghetti macaroni enchilada quesadilla nachos falafel hummus kebab pho dumpling omelette meatloaf meatball casserole stroganoff paella risotto gnocchi ravioli
chicken beef pork ham bacon fish salmon shrimp meat tuna lobster sausage lamb veal duck venison crab oyster clam scallop cod tilapia trout pepperoni salami hotdog
milk cheese butter yogurt cream egg mayo mozzarella parmesan feta margarine buttermilk
apple banana orange lemon grape strawberry avocado tomato potato onion carrot broccoli lettuce bean corn pepper vegetable fruit mushroom pear peach plum cherry mango papaya pineapple kiwi melon watermelon blueberry raspberry lime garlic ginger spinach kale cabbage celery cucumber zucchini squash pumpkin eggplant asparagus cauliflower pea lentil chickpea radish beet
bread rice flour sugar salt cereal oatmeal spice toast bagel bun tortilla oat quinoa grain honey syrup vinegar mustard ketchup sauce cinnamon cumin paprika basil oregano thyme
cake cookie pie muffin brownie pancake chocolate dessert waffle cupcake donut doughnut croissant pudding candy pastry icecream
coffee tea beer wine juice soda water drink espresso latte cappuccino lemonade smoothie milkshake whiskey vodka rum gin tequila champagne cocktail
breakfast lunch dinner brunch supper meal
cook bake boil fry roast grill steam simmer microwave oven prep
recipe ingredient
spoiled expired expiration rotten stale mold rancid moldy perish
calorie calories nutrition carbs protein fat vitamins
menu dish cuisine entree appetizer
hungry starving thirsty
sweet salty sour bitter spicy bland tasty delicious
pan pot bowl plate fork spoon knife

kitchen bedroom bathroom hallway basement garage attic porch office den nursery upstairs downstairs
light lamp bulb brightness chandelier dim dimmer
hot warm warmer cold colder cool cooler chilly heat temperature thermostat degrees warmth chill
clean vacuum mop sweep hoover wash dust scrub laundry tidy
unlock secure
door window curtain blinds

rain snow sunny cloudy windy storm forecast umbrella weather humid humidity hail thunder lightning tornado hurricane blizzard fog foggy drizzle rainy sunshine rainfall snowfall cloud raincoat breeze gusty sleet overcast precipitation climate

song track tune music album artist band singer playlist lyrics melody
jazz pop rap classical reggae techno soul funk punk indie edm opera gospel disco dance
movie film show episode tv television movies cinema sitcom series documentary
loud louder quiet quieter volume mute silence silent softer sound unmute
play pause resume skip rewind shuffle
watch stream netflix hulu

message text sms email mail inbox
call phone dial ringing telephone
photo picture image video camera snapshot selfie
battery charger
news headlines newspaper article

doctor dentist hospital clinic physician vet nurse pharmacist pharmacy surgeon therapist
medicine pill medication prescription drug antibiotic painkiller ibuprofen aspirin tablets
insurance policy coverage deductible copay premium insured insurer
vaccine vaccination shot immunization
sick ill flu fever headache cough unwell nausea vomit pain hurts ache sore injury injured
sleep nap asleep

job work career employer company workplace employed employee profession occupation
pto leave
customer client lead contact
student teacher course class lesson homework exam grade pupil professor study
school university college

amazon walmart target costco ebay ikea starbucks mcdonalds walgreens safeway
ship package parcel shipment courier fedex ups usps dhl post postal
return exchange
shirt shoes dress jacket pants jeans clothes sweater hat socks coat skirt boots
couch sofa bed chair desk shelf furniture
store supermarket mall market grocery boutique
another different replacement substitute

inch foot feet yard meter metre kilometer centimeter km cm mm
ounce gram kilogram kilo ton kg lb lbs oz
cup tablespoon teaspoon pint quart gallon liter litre ml
celsius fahrenheit
plus minus divided multiply subtract add sum
tall height wide width depth heavy weight weigh
square root equation percent percentage calculate fraction calculator

french german italian spanish portuguese japanese chinese mandarin cantonese korean hindi arabic russian turkish greek hebrew polish swedish norwegian finnish danish dutch czech thai vietnamese hungarian latin hawaiian swahili tagalog romanian bulgarian serbian croatian ukrainian icelandic irish gaelic welsh persian farsi urdu bengali punjabi malay indonesian catalan zulu
translate translation translator interpret
spell
mean define definition synonym

robot bot human ai person computer program
joke funny laugh humor pun hilarious silly comedy comedian amuse
hello hey greetings howdy hi hiya heya yo
bye goodbye farewell cya ciao
thanks thx ty appreciate grateful thankful thankyou thnx gracias
sorry apologize apology excuse pardon
yes yeah yep yup sure okay ok absolutely definitely certainly affirmative
no nope nah negative
love dislike enjoy
favorite favourite prefer
name nickname
born birth birthplace birthdate
sad happy angry upset bored lonely depressed excited glad mad furious
poem story essay
chat talk conversation speak converse

file folder document pdf spreadsheet
deploy release rollout deployment publish
server host machine instance vm cluster node
error bug crash failure exception
database db sql table query
report dashboard chart graph
app application software website
login username signin
wifi internet network broadband bluetooth wireless router hotspot
dns domain subdomain hostname nameserver
certificate ssl tls https
docker container kubernetes pod helm
git github gitlab repository repo commit branch merge
cpu gpu vram ram disk processor
log trace metrics monitoring telemetry
backup restore archive
token secret credential apikey
firewall vpn proxy ssh
vulnerability exploit malware virus ransomware
python javascript typescript java rust script
workflow pipeline automation webhook
restart reboot respawn
install uninstall reinstall setup
upload download import export
`.trim();
